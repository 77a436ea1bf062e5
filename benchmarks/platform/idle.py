"""What the platform uses while nobody asks for anything: control plane and router, without the sites' own instances."""

from __future__ import annotations

import time

from benchmarks.harness import Row
from benchmarks.platform.stand import Stand
from benchmarks.rig.servers import children, cpu_seconds, memory_bytes

SETTLE_SECONDS, SECONDS = 10, 20
JUPYTERHUB_MB = 171.0
"""Hub and proxy of JupyterHub, idle: cited from the comparison that set the bar, not measured in this run."""
PARTS = ("supervisor", "nats", "node", "manager", "nginx", "ssh")


def idle_rows(there: Stand) -> list[Row]:
    """Memory (PSS) and CPU of everything together, and each part's."""
    time.sleep(SETTLE_SECONDS)
    parts = {part: _processes(there, part) for part in PARTS}
    before = {part: _cpu(pids) for part, pids in parts.items()}
    time.sleep(SECONDS)
    cpu = {part: (_cpu(pids) - before[part]) / SECONDS * 100 for part, pids in parts.items()}
    memory = {part: sum(memory_bytes(pid) for pid in pids) / 1e6 for part, pids in parts.items()}
    return [
        Row(
            "idle: memory of control plane and router (PSS)",
            sum(memory.values()),
            "MB",
            200,
            peer="JupyterHub's hub and proxy (cited)",
            peer_value=JUPYTERHUB_MB,
        ),
        Row("idle: CPU of control plane and router", sum(cpu.values()), "% of a core", 1),
        *(Row(f"idle: {part}, memory", memory[part], "MB") for part in PARTS),
        *(Row(f"idle: {part}, CPU", cpu[part], "% of a core") for part in PARTS),
    ]


def _processes(there: Stand, part: str) -> list[int]:
    """nginx has workers; what the node has started are sites."""
    pid = there.platform.part_pid(part)
    assert pid, f"{part} does not run"
    return [pid, *children(pid)] if part == "nginx" else [pid]


def _cpu(pids: list[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)
