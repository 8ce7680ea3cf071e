"""Installs pyruntime with an init that a sanitizer watches: sanitized.py undefined|address DIRECTORY

    undefined   the static program itself; what is undefined in C ends it with SIGILL
    address     the same sources with libc and AddressSanitizer around them, and start.c left out

Prints the launcher. All integration tests can be run with it, as RUNTIME and under `setarch -R`; with "address" those
fail that say what a waiting init may consist of.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# local-bounds, which finds what leaves an array inside a struct, is clang's alone
FLAGS = ["-fsanitize=undefined,local-bounds", "-fsanitize-trap=undefined,local-bounds"]
FLAGS_GCC = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
FLAGS_ADDRESS = [
    "-std=gnu11", "-O1", "-g", "-DHOSTED", "-fno-omit-frame-pointer", "-fno-builtin",
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
]  # fmt: skip
MAIN = """
/* What libc calls in place of start.c. Init ends with a system call of its own, so nothing would look for leaks. */
_Noreturn void init_main(int argc, const char *const *argv);
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0:handle_segv=1";
}

int main(int argc, char **argv)
{
	init_main(argc, (const char *const *)argv);
}
"""


def compile_init(kind, sources, output, table_hash):
    """Builds init from a directory of sources."""
    clang = shutil.which("clang")
    if kind == "undefined":
        flags = FLAGS if clang else FLAGS_GCC
        environment = os.environ | {"CC": clang or "cc"}
        subprocess.run([sources / "build.sh", output, f"{table_hash}ULL", *flags], check=True, env=environment)
        return
    (sources / "hosted.c").write_text(MAIN)
    files = sorted(path for path in sources.glob("*.c") if path.name != "start.c")
    subprocess.run(["cc", *FLAGS_ADDRESS, f"-DTABLE_HASH={table_hash}ULL", *files, "-o", output], check=True)


def install(kind, folder, change=None):
    """Installs below a folder; returns the launcher. `change`, if given, may change init's sources in a directory."""
    source = folder / "source"
    for name in ("init", "install", "pyruntime", "specs", "tests/budget"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    if change is not None:
        change(source / "init")
    build = source / "pyruntime/_build.py"
    text = build.read_text()
    table_hash = re.search(r"TABLE_HASH = (\w+)", text)[1]
    program = source / "pyruntime/_init"
    program.unlink()
    compile_init(kind, source / "init", program, table_hash)
    program.chmod(0o755)
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    build.write_text(re.sub(r'INIT_SHA256 = "\w+"', f'INIT_SHA256 = "{digest}"', text))
    script = source / "install/install.py"
    site = sysconfig.get_path("purelib")
    subprocess.run(
        [sys.executable, script, "--prefix", folder / "root", "--site", site], check=True, stdout=subprocess.DEVNULL
    )
    return folder / "root/sbin/pyruntime"


if __name__ == "__main__":
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    Path(sys.argv[2]).mkdir(parents=True)
    print(install(sys.argv[1], Path(sys.argv[2]).resolve()))
