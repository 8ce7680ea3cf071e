#!/bin/sh
# Runs one container and shows the plan that it was made by. Usage: demo.sh PYRUNTIME DIRECTORY
set -eu
runtime=$1 bundle=$2/bundle

rm -rf "$bundle"
mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/etc"
cp /bin/busybox "$bundle/rootfs/bin/"
for name in $(/bin/busybox --list); do
    [ "$name" = busybox ] || ln -s busybox "$bundle/rootfs/bin/$name"
done
echo 'root:x:0:0:root:/root:/bin/sh' > "$bundle/rootfs/etc/passwd"

# the config that every container can begin with; then a program to run, and no terminal to run it on
"$runtime" spec --bundle "$bundle"
cat > "$bundle/rootfs/etc/hello" <<'SCRIPT'
echo "I am process $$ of $(hostname), $(id)."
echo "In my root directory:  $(ls / | xargs)"
echo "Mounts that I see:     $(wc -l < /proc/self/mountinfo)"
echo "My capabilities:       $(sed -n 's/CapEff:\t//p' /proc/self/status)"
echo "Writing to my root:    $(touch /file 2>&1)"
echo "Reading /proc/keys:    $(wc -c < /proc/keys) bytes"
SCRIPT
python3 - "$bundle/config.json" <<'EDIT'
import json, sys
with open(sys.argv[1]) as file:
    config = json.load(file)
config["process"].update(terminal=False, args=["sh", "/etc/hello"])
with open(sys.argv[1], "w") as file:
    json.dump(config, file, indent=2)
EDIT

echo "The plan ($runtime plan $bundle):"
echo
"$runtime" plan "$bundle"
echo
if [ "$(id -u)" != 0 ]; then
    echo "Carrying it out needs root." >&2
    exit 1
fi
echo "What the container says ($runtime run --bundle $bundle demo):"
echo
"$runtime" delete --force demo
"$runtime" run --bundle "$bundle" demo
