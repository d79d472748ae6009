"""A judge behind any OpenAI-compatible endpoint: windows, sampling, requests, cache, caps on spending.

Needs the extra `[judge]` (httpx, tenacity); only `client.py` imports it.
"""
