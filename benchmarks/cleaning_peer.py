"""The peer of cleaning.py: datatrove's URLFilter; reads URLs, one JSON list, from stdin, writes its reasons."""

from __future__ import annotations

import json
import sys
import time

from datatrove.data import Document
from datatrove.pipeline.filters import URLFilter
from tldextract import TLDExtract

urls = json.load(sys.stdin)
peer = URLFilter()
peer.tldextractor = TLDExtract(suffix_list_urls=())  # its bundled snapshot; no network
started = time.process_time()
peer.filter(Document("", "0", metadata={"url": "http://example.org/"}))
loaded = time.process_time()
found = [peer.filter(Document("", "0", metadata={"url": url})) for url in urls]
done = time.process_time()
reasons = [None if one is True else one[1] for one in found]
json.dump({"load_s": loaded - started, "us_per_url": 1e6 * (done - loaded) / len(urls), "reasons": reasons}, sys.stdout)
