"""`curate proxy …`: signatures and help only, the work is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(group, name="proxy", help="Train and evaluate proxy models on packed shards.")

Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]


@group.command(epilog="Example: curate proxy train examples/proxy.yaml --set seeds.init=1")
def train(
    config: Annotated[Path, typer.Argument(help="a training config, for example examples/proxy.yaml")],
    overrides: Annotated[list[str] | None, typer.Option("--set", help="dotted.key=value, repeatable")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest checkpoint")] = False,
    json: Json = False,
) -> None:
    """Train a model on packed shards and write its report: runs/NAME/report.html."""
    from proxy_model.actions import train_command

    train_command(config, overrides or [], resume=resume, as_json=json)


@group.command(
    epilog="Example: curate proxy evaluate runs/proxy-demo items.jsonl.zst --tokenizer runs/web-demo/tokenizer "
    "--out scores.parquet; a Hugging Face model: curate proxy evaluate FOLDER items.jsonl.zst --hf --mode lm_eval"
)
def evaluate(
    model: Annotated[Path, typer.Argument(help="a training run, a saved model, or with --hf a Hugging Face folder")],
    items: Annotated[
        list[Path] | None, typer.Argument(help="item files: JSON lines, lm-eval samples, OLMES requests")
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="tokenizer directory or tokenizer.json")] = None,
    hf: Annotated[bool, typer.Option("--hf", help="a causal language model of transformers")] = False,
    mode: Annotated[str, typer.Option(help="where context ends and choice begins: lcp, lm_eval or separate")] = "lcp",
    metric: Annotated[
        list[str] | None, typer.Option(help="repeatable: acc, acc_norm, acc_bytes, log_acc_norm2, norm_prob_byte, …")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="items of each benchmark, chosen by hash")] = None,
    seed: Annotated[int, typer.Option(help="of --limit, of examples and of retrieval items")] = 0,
    out: Annotated[Path | None, typer.Option(help="Parquet file of every option's score; a killed one goes on")] = None,
    shots: Annotated[int, typer.Option(min=0, help="solved examples before each item, from --pool")] = 0,
    pool: Annotated[Path | None, typer.Option(help="item file of solved examples")] = None,
    letters: Annotated[bool, typer.Option("--letters", help="let choices through that are only A, B, C")] = False,
    cluster: Annotated[
        list[str] | None, typer.Option(help="BENCHMARK=group: its subjects are clusters; repeatable")
    ] = None,
    max_length: Annotated[int | None, typer.Option(min=2, help="tokens of an input (the model's own)")] = None,
    too_long: Annotated[
        str, typer.Option(help="longer items: error, drop_item or left (contexts cut, rows marked)")
    ] = "error",
    bos: Annotated[int | None, typer.Option(help="id put before every context")] = None,
    haystack: Annotated[Path | None, typer.Option(help="text for long-context retrieval items")] = None,
    length: Annotated[list[int] | None, typer.Option(help="bytes of a retrieval item; repeatable")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="exit code 1 where a line was refused")] = False,
    json: Json = False,
) -> None:
    """Score benchmark items by the likelihood of their choices; one table, with chance and standard errors."""
    from proxy_model.evaluate.action import DEFAULT_METRICS, Request, clusters_from, evaluate_command

    evaluate_command(
        Request(
            model, items or [], tokenizer, hf, mode, limit=limit, seed=seed, out=out, shots=shots, pool=pool,
            letters=letters, clusters=clusters_from(cluster or []), max_length=max_length, too_long=too_long, bos=bos,
            haystack=haystack, lengths=tuple(length or ()), device=device, dtype=dtype, strict=strict,
            metrics=tuple(metric or DEFAULT_METRICS),
        ),
        as_json=json,
    )  # fmt: skip


@group.command("fit-critical-batch", epilog="Example: curate proxy fit-critical-batch runs/proxy-demo --probe 64")
def fit_critical_batch(
    run: Annotated[Path, typer.Argument(help="folder of a finished training run")],
    probe: Annotated[
        int,
        typer.Option(min=0, help="sequences whose gradients are measured at each kept checkpoint; 0: default curve"),
    ] = 0,
    smallest: Annotated[str | None, typer.Option(help="tokens of the first batch (the run's own)")] = None,
    largest: Annotated[str, typer.Option(help="tokens of the largest batch")] = "128M",
    json: Json = False,
) -> None:
    """A table of batch sizes from the run's loss, to be put into the config of every arm."""
    from proxy_model.actions import fit_command

    fit_command(run, probe=probe, smallest=smallest, largest=largest, as_json=json)


@group.command(epilog="Example: curate proxy ladder nano s paper --gpus 8 --mfu 0.3 --price 3")
def ladder(
    presets: Annotated[list[str] | None, typer.Argument(help="presets; all by default")] = None,
    gpus: Annotated[int, typer.Option(help="GPUs that share time and memory")] = 1,
    mfu: Annotated[float, typer.Option(help="share of --tflops that training reaches")] = 0.3,
    tflops: Annotated[float, typer.Option(help="dense bf16 TFLOP/s of one GPU (790: H200, measured)")] = 790.0,
    price: Annotated[float | None, typer.Option(help="of one GPU and hour")] = None,
    length: Annotated[int, typer.Option(help="tokens of a document: what softmax attention costs")] = 2048,
    tokens: Annotated[str | None, typer.Option(help="to train on, e.g. 300M (20 a parameter; paper: 40B)")] = None,
    json: Json = False,
) -> None:
    """What each preset costs: parameters, tokens, FLOPs, GPU hours, memory of states, money."""
    from proxy_model.ladder import ladder_command

    ladder_command(
        presets or [], gpus=gpus, mfu=mfu, tflops=tflops, price=price, length=length, tokens=tokens, as_json=json
    )


@group.command(epilog="Example: curate proxy export runs/proxy-demo hf-model")
def export(
    checkpoint: Annotated[Path, typer.Argument(help="a finished training run, or a saved model")],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    to: Annotated[str, typer.Option(help="hf: a MiniMax checkpoint of transformers")] = "hf",
    allow_lossy: Annotated[
        bool, typer.Option("--allow-lossy", help="export although transformers will compute something else")
    ] = False,
    json: Json = False,
) -> None:
    """Write a trained model for transformers, with the tokenizer of the run that packed its shards."""
    from proxy_model.hf.action import export_command

    export_command(checkpoint, out, to, allow_lossy=allow_lossy, as_json=json)
