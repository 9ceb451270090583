#!/bin/sh
# image.sh [FLAG…]: build the image's two targets and write what is in them (SBOM) to dist/. FLAGs go to the engine's `build`.
# ENGINE=docker|podman|buildah (else the first that works), IMAGE=name of the image (else model-manager).
set -eu

stop() { echo "model-manager: $1" >&2; exit 1; }
works() { command -v "$1" >/dev/null 2>&1 && "$1" info >/dev/null 2>&1; }

engine=${ENGINE:-}
for candidate in docker podman buildah; do
    [ -n "$engine" ] || ! works "$candidate" || engine=$candidate
done
case $engine in
    docker | podman | buildah) works "$engine" || stop "$engine does not work here; \`$engine info\` says why." ;;
    "") stop "no docker, podman or buildah that works was found. Debian: apt-get install podman" ;;
    *) stop "ENGINE=$engine is not known; use docker, podman or buildah." ;;
esac

name=${IMAGE:-model-manager}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

build() {  # TARGET TAG FLAG…
    target=$1 tag=$2
    shift 2
    case $engine in  # docker takes the time from the environment
        docker) set -- build "$@" ;;
        podman) set -- build --timestamp "$SOURCE_DATE_EPOCH" "$@" ;;
        buildah) set -- build --layers --timestamp "$SOURCE_DATE_EPOCH" "$@" ;;
    esac
    "$engine" "$@" --target "$target" --build-arg VERSION="$version" --build-arg REVISION="$revision" --tag "$tag" .
}

sbom() {  # IMAGE NAME
    case $engine in
        buildah)
            container=$(buildah from --pull-never "$1")
            buildah run "$container" -- python3 -I - "$2" "$version" "$SOURCE_DATE_EPOCH" <tools/sbom.py && code=0 || code=$?
            buildah rm "$container" >/dev/null
            return "$code"
            ;;
        *)
            "$engine" run --rm --interactive --network none --entrypoint python3 \
                "$1" -I - "$2" "$version" "$SOURCE_DATE_EPOCH" <tools/sbom.py
            ;;
    esac
}

mkdir -p dist
for target in slim full; do
    suffix=$([ $target = full ] || echo "-$target")
    image=$name:$version$suffix file=dist/model-manager-$version$suffix.cdx.json
    build $target "$image" "$@"
    sbom "$image" "model-manager$suffix" >"$file.part"
    mv "$file.part" "$file"
    echo "model-manager: built $image; what is in it: $file"
done
