"""What a run costs: device hours, dollars, kilowatt-hours, CO2e, and the assumptions behind them in words."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from chidu.errors import InputError

DEFAULT_TABLE = Path(__file__).with_name("hardware.yaml")
NEEDED = ("name", "peak_flops", "dtype", "utilisation", "watts", "dollars_per_hour", "source")


@dataclass(frozen=True)
class Cost:
    """An estimate, except where the time was measured."""

    hardware: str
    hours: float
    """Device hours: of all devices together."""
    dollars: float
    kwh: float
    co2e_kg: float
    assumptions: tuple[str, ...]

    def __str__(self) -> str:
        """One line, then the assumptions."""
        head = f"{say_dollars(self.dollars)}, {self.hours:.3g} device hours on {self.hardware}, {self.kwh:.3g} kWh, "
        return "\n".join([f"{head}{self.co2e_kg:.3g} kg CO2e", *[f"  {text}" for text in self.assumptions]])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "assumptions": list(self.assumptions)}


def say_dollars(dollars: float) -> str:
    """A sum as people write it: whole dollars from 100 on."""
    return f"${dollars:,.0f}" if dollars >= 100 else f"${dollars:.2g}" if dollars < 1 else f"${dollars:.2f}"


def read_hardware(table: str | Path | None = None) -> dict[str, Any]:
    """Read a table of devices, chidu's own by default.

    Raises:
        InputError: the file is missing, is not YAML, or a device lacks a figure.
    """
    path = Path(table) if table else DEFAULT_TABLE
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path} cannot be read; name a YAML file of devices") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(value, dict) or not isinstance(value.get("hardware"), dict) or "grid" not in value:
        raise InputError(f"{path} must hold `grid` and `hardware`, as chidu's own table does")
    for key, device in value["hardware"].items():
        missing = [name for name in NEEDED if name not in (device or {})]
        if missing:
            raise InputError(f"{path}: {key} lacks {', '.join(missing)}")
    return value


def price(
    flops: float,
    *,
    hardware: str = "h100",
    dtype: str | None = None,
    utilisation: float | None = None,
    table: str | Path | None = None,
) -> Cost:
    """Price a number of training FLOPs on a device.

    Args:
        flops: of the whole run, or of several.
        hardware: a device of the table.
        dtype: of the matrix products; the device's usual one by default.
        utilisation: part of the peak that is reached, (0, 1]; the device's usual one by default.
        table: another file like `hardware.yaml`.

    Raises:
        InputError: an unknown device or dtype, or a number out of range.
    """
    known = read_hardware(table)
    device = _device(known, hardware)
    dtype = dtype or device["dtype"]
    if dtype not in device["peak_flops"]:
        raise InputError(f"{hardware} has no peak for {dtype}; it has {', '.join(device['peak_flops'])}")
    part = float(device["utilisation"] if utilisation is None else utilisation)
    if not 0 < part <= 1:
        raise InputError(f"utilisation lies between 0 and 1, not {part}")
    if not (math.isfinite(flops) and flops >= 0):
        raise InputError(f"flops must be a number of 0 or more, not {flops}")
    peak = float(device["peak_flops"][dtype])
    time = f"estimated: {flops:.3g} FLOPs at {part:.0%} of {peak:.3g} FLOP/s ({device['name']}, {dtype})"
    return _cost(known, device, flops / (peak * part), time)


def price_seconds(
    seconds: float,
    hardware: str = "cpu-core",
    devices: int = 1,
    table: str | Path | None = None,
    basis: str = "measured",
) -> Cost:
    """Price wall time on a number of devices; `basis` says where the time comes from.

    Raises:
        InputError: an unknown device, or a number out of range.
    """
    known = read_hardware(table)
    device = _device(known, hardware)
    if not (math.isfinite(seconds) and seconds >= 0) or devices < 1:
        raise InputError(f"{seconds} seconds on {devices} devices is no measurement")
    time = f"{basis}: {seconds:.3g} s on {devices} x {device['name']}"
    return _cost(known, device, seconds * devices, time)


def _device(known: Mapping[str, Any], hardware: str) -> Mapping[str, Any]:
    if hardware not in known["hardware"]:
        raise InputError(f"there is no hardware {hardware!r} in the table; it has {', '.join(known['hardware'])}")
    found: Mapping[str, Any] = known["hardware"][hardware]
    return found


def _cost(known: Mapping[str, Any], device: Mapping[str, Any], seconds: float, time: str) -> Cost:
    """Turn device seconds into everything else."""
    grid, hours = known["grid"], seconds / 3600
    watts, pue, factor = float(device["watts"]), float(grid["pue"]), float(grid["g_co2e_per_kwh"])
    kwh = hours * watts / 1000 * pue
    return Cost(
        hardware=device["name"],
        hours=hours,
        dollars=hours * float(device["dollars_per_hour"]),
        kwh=kwh,
        co2e_kg=kwh * factor / 1000,
        assumptions=(
            time,
            f"dollars: {device['dollars_per_hour']} an hour and device ({device['source']})",
            f"energy and CO2e estimated: TDP {watts:.0f} W x time x PUE {pue} x {factor:.0f} g/kWh "
            f"({grid.get('g_co2e_source', 'no source given')})",
        ),
    )
