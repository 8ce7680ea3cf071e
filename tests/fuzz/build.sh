#!/bin/sh
# Builds what reads plans and passwd files as init does, with sanitizers watching:
#     build.sh fuzz DIRECTORY    the fuzz targets; needs clang and its libFuzzer
#     build.sh check DIRECTORY   the same targets as programs that take files, and `decode`; any compiler will do
# Whatever a sanitizer finds ends the program.
set -eu
here=$(dirname "$0")
init=$here/../../init
kind=$1 output=$2
mkdir -p "$output"

compile() { # compile NAME SOURCE... [FLAG...]
    name=$1
    shift
    ${CC:-cc} -std=gnu11 -O1 -g -DHOSTED -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-missing-field-initializers \
        -fno-omit-frame-pointer -fno-sanitize-recover=all "$@" "$init/text.c" -o "$output/$name"
}

case $kind in
    fuzz)
        CC=${CC:-clang}
        sanitize=-fsanitize=fuzzer,address,undefined
        compile plan "$sanitize" -DLIBFUZZER "$here/plan.c" "$init/plan.c" &
        plan=$!
        compile passwd "$sanitize" "$here/passwd.c" &
        passwd=$!
        wait $plan
        wait $passwd
        ;;
    check)
        sanitize=-fsanitize=address,undefined
        compile plan "$sanitize" "$here/plan.c" "$here/replay.c" "$init/plan.c" &
        plan=$!
        compile passwd "$sanitize" "$here/passwd.c" "$here/replay.c" &
        passwd=$!
        compile decode "$sanitize" "$here/decode.c" "$init/plan.c"
        wait $plan
        wait $passwd
        ;;
    *)
        echo "build.sh: what is $kind?" >&2
        exit 2
        ;;
esac
