"""What a work does while it runs: measured in a quiet process of its own, and judged here.

    payloads ─► process ─► [child: load ─► alone ─► beside a heartbeat ─► two at once] ─► measured ─► judge ─► report

The child tells what it found as soon as it has it. So a function that never returns, or that ends its process, gets a
verdict from what was seen until then.
"""
