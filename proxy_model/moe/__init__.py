"""Mixture of experts: dropless by default, deterministic, balanced over the global batch, measured by data source."""

from proxy_model.moe.layer import MoE, routers, update_biases
from proxy_model.moe.peers import ALONE, Peers
from proxy_model.moe.routing import Routing
from proxy_model.moe.statistics import ExpertUsage

__all__ = ["ALONE", "ExpertUsage", "MoE", "Peers", "Routing", "routers", "update_biases"]
