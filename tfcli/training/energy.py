"""What a training takes in energy, as events between its others."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING

from tfcli.runtime.energy import EnergyMeter
from tfcli.training.events import EnergyUsed, Saved, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from tfcli.runtime.distributed import DistributedContext
    from tfcli.training.events import Event


def with_energy(
    events: Iterator[Event], processes: DistributedContext, device: torch.device
) -> Iterator[Event]:
    """The events of a session, with what it has used after each checkpoint and before the end."""
    session = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    meter = EnergyMeter(device, whole_machine=processes.local_rank == 0)
    for event in events:
        meter.update()
        if not isinstance(event, Stopped):
            yield event
        if isinstance(event, Saved | Stopped):
            used = meter.read()
            joules = (used.cpu_joules, used.gpu_joules)
            known = (math.nan if each is None else each for each in joules)
            seconds, *sums = processes.all_reduce(used.cpu_seconds, *known)
            processor, gpu = (None if math.isnan(total) else total for total in sums)
            yield EnergyUsed(
                step=event.step, session=session, cpu_seconds=seconds,
                cpu_joules=processor, gpu_joules=gpu,
            )  # fmt: skip
        if isinstance(event, Stopped):
            yield event
