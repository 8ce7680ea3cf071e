"""What was found and what would be injected, as JSON values and as tables for people."""

from .nodes import gpu_node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..edits import Edits
    from .driver import Driver
    from .gpus import Gpu
    from .request import Request

GAP = 2


# ---- JSON


def describe(driver: "Driver", nvml: str) -> "dict[str, Any]":
    """Returns all that discovery has found; `nvml` says why NVML has not been asked, "" if it has."""
    directories: dict[str, int] = {}
    for library in driver.libraries:
        directory = library.source.rpartition("/")[0]
        directories[directory] = directories.get(directory, 0) + 1
    return {
        "driver": {
            "module": driver.module,
            "libraries": driver.version,
            "cuda": driver.cuda,
            "root": driver.root.at(driver.place or "/"),
            "hostRoot": driver.host.at("/"),
            "directories": [{"path": path, "libraries": count} for path, count in directories.items()],
            "problem": _problem(driver),
            "nvml": nvml,
        },
        "gpus": [_gpu(driver, gpu) for gpu in driver.gpus],
        "devices": [
            {"path": node.path, "source": node.source, "major": node.major, "minor": node.minor, "mode": node.mode,
             "capabilities": list(classes)}
            for node, classes in driver.control
        ],
        "libraries": [
            {"name": library.name, "soname": library.soname, "source": library.source, "bits": library.bits,
             "capabilities": list(library.classes)}
            for library in driver.libraries
        ],
        "files": [
            {"path": file.path, "source": file.source, "kind": file.kind, "capabilities": list(file.classes)}
            for file in driver.files
        ],
        "missing": [{"path": path, "why": why} for path, why in driver.missing.items()],
        "notes": list(driver.notes),
    }  # fmt: skip


def _problem(driver: "Driver") -> str:
    from ...errors import DriverError

    try:
        driver.check("nothing yet")
    except DriverError as error:
        return str(error).replace("NVIDIA GPUs were requested (nothing yet), but ", "")
    return ""


def _gpu(driver: "Driver", gpu: "Gpu") -> "dict[str, Any]":
    from ...errors import DriverError

    try:
        problem = ""
        gpu_node(driver.host, driver.majors, gpu.minor)
    except DriverError as error:
        problem = str(error)
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "minor": gpu.minor,
        "bus": gpu.bus,
        "model": gpu.model,
        "computeCapability": gpu.arch,
        "brand": gpu.brand,
        "device": f"/dev/nvidia{gpu.minor}",
        "dri": [f"/dev/dri/{name}" for name in gpu.drm],
        "problem": problem,
        "mig": [
            {
                "index": mig.index,
                "uuid": mig.uuid,
                "gpuInstance": mig.gi,
                "computeInstance": mig.ci,
                "devices": [f"/dev/nvidia-caps/nvidia-cap{minor}" for minor in (mig.gi_minor, mig.ci_minor)],
            }
            for mig in gpu.migs
        ],
    }


def explain(request: "Request", edits: "Edits") -> "dict[str, Any]":
    """Returns what a request would inject."""
    from ..form import beyond, to_json

    return {
        "request": {
            "source": request.source,
            "devices": list(request.devices or request.cdi),
            "capabilities": sorted(request.classes),
            "requirements": [f"{name}={value}" for name, value in request.requirements],
        },
        "containerEdits": to_json(edits),
        **beyond(edits),
        "notes": list(edits.notes),
    }


# ---- tables


def columns(rows: "Iterable[Sequence[object]]", indent: int = 2) -> str:
    """Returns rows as columns, the last one as wide as it is."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in lines) + GAP for at in range(len(lines[0]) - 1)] if lines else []
    made = []
    for row in lines:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        made.append((" " * indent + "".join(cells) + row[-1]).rstrip())
    return "\n".join(made)


def table(found: "dict[str, Any]") -> str:
    """Returns what describe() has returned for people to read."""
    driver = found["driver"]
    parts = [f"kernel module  {driver['module'] or 'not loaded'}"]
    parts.append(f"libraries      {driver['libraries'] or 'none'}, below {driver['root']}")
    if driver["cuda"]:
        parts.append(f"CUDA           {driver['cuda']}")
    if driver["module"] and driver["libraries"]:
        parts.append(f"NVML           {driver['nvml'] or 'answers'}")
    if driver["problem"]:
        parts.append(f"problem        {driver['problem']}")
    gpus: list[tuple[Any, ...]] = [("GPU", "BUS", "DEVICE", "UUID", "MODEL")] if found["gpus"] else []
    for gpu in found["gpus"]:
        model = f"{gpu['model']} ({gpu['computeCapability']})" if gpu["computeCapability"] else gpu["model"]
        gpus.append((gpu["index"], gpu["bus"], gpu["device"], gpu["uuid"] or "-", model))
        for mig in gpu["mig"]:
            name = f"{gpu['index']}:{mig['index']}"
            model = f"GPU instance {mig['gpuInstance']}, compute instance {mig['computeInstance']}"
            gpus.append((name, "", mig["devices"][-1], mig["uuid"] or "-", model))
    sections: list[tuple[str, list[Any]]] = [("GPUs", gpus)]
    sections.append(
        (
            "device nodes",
            [(node["path"], f"{node['major']}:{node['minor']}", _words(node)) for node in found["devices"]],
        )
    )
    sections.append(
        ("libraries", [(library["soname"], _words(library), library["source"]) for library in found["libraries"]])
    )
    sections.append(("files", [(file["path"], _words(file), file["source"]) for file in found["files"]]))
    missing = [(entry["path"], entry["why"]) for entry in found["missing"]]
    missing += [(gpu["device"], gpu["problem"]) for gpu in found["gpus"] if gpu["problem"]]
    sections.append(("missing", missing))
    sections.append(("notes", [(note,) for note in found["notes"]]))
    return "\n".join(parts) + "".join(f"\n\n{title}\n{columns(rows)}" for title, rows in sections if rows)


def _words(entry: "dict[str, Any]") -> str:
    return ",".join(entry["capabilities"]) or "any"


def explained(found: "dict[str, Any]") -> str:
    """Returns what explain() has returned for people to read: one line for each thing that a container gets."""
    request, edits = found["request"], found["containerEdits"]
    rows = [("device", device["path"], f"{device['type']} {device['major']}:{device['minor']} {device['permissions']}")
            if "major" in device else ("device", device["path"], "as on the host")
            for device in edits.get("deviceNodes", ())]  # fmt: skip
    rows += [("mount", mount["containerPath"], mount["hostPath"]) for mount in edits.get("mounts", ())]
    rows += [("link", link["path"], link["target"]) for link in found.get("links", ())]
    rows += [("file", file["path"], f"{len(file['content'])} bytes") for file in found.get("files", ())]
    rows += [("hook", hook["path"], hook["hookName"]) for hook in edits.get("hooks", ())]
    rows += [("variable", name, "") for name in edits.get("env", ())]
    rows += [("group", str(gid), "additional") for gid in edits.get("additionalGids", ())]
    rows += [("cache", entry["soname"], entry["path"]) for entry in found.get("cache", {}).get("libraries", ())]
    rows += [("visible", f"/proc/driver/nvidia/{name}", "") for name in found.get("procDriverNvidia", ())]
    heads = [
        ("request", request["source"]),
        ("devices", ", ".join(request["devices"])),
        ("capabilities", ", ".join(request["capabilities"])),
        *(("requires", text) for text in request["requirements"]),
        *(("note", note) for note in found["notes"]),
    ]
    return columns(heads, 0) + (f"\n\n{columns(rows, 0)}" if rows else "")
