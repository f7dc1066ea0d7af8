#!/usr/bin/env bash
# The tests of the Kubernetes executor on a real cluster: a throw-away one that kind makes, or one that you have.
#
#   kubernetes.sh kind    makes a cluster with kind, tries it there, and removes it
#   kubernetes.sh here    tries it on the cluster of KUBECONFIG, in the namespace NAMESPACE (default trainhook-test,
#                         made if it is missing, and removed afterwards only if this script has made it)
#
# For `here`, IMAGE must be a name under which this script may push an image and the cluster may pull it, and HOST an
# address of this machine that pods reach (ports 18082 and 18083). Needs cargo, docker and kubectl; kind for `kind`.
# The image holds this program and python3, and serves as the supervisor's and as the jobs'.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cluster=trainhook-test
namespace=${NAMESPACE:-trainhook-test}
image=${IMAGE:-localhost/trainhook-test:kubernetes}
folder=$(mktemp -d)
undo=()

fail() {
    printf 'kubernetes.sh: %s\n' "$*" >&2
    exit 1
}

step() {
    printf '\n== %s\n' "$*"
}

clean_up() {
    local n
    for ((n = ${#undo[@]} - 1; n >= 0; n--)); do
        eval "${undo[n]}" || true
    done
    rm -rf "$folder"
}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || fail "$program is missing"
    done
}

# Debian's C library is to be at least as old as the one that the program was built with: build on Debian, or set BASE.
make_image() {
    step "image $image"
    cargo build --locked
    cp target/debug/trainhook "$folder/trainhook"
    cat >"$folder/Dockerfile" <<DOCKERFILE
FROM ${BASE:-python:3-slim}
COPY trainhook /usr/local/bin/trainhook
ENTRYPOINT ["/usr/local/bin/trainhook"]
DOCKERFILE
    docker build --tag "$image" "$folder"
    docker run --rm "$image" --version || fail "the program does not run in the image: set BASE to one with a newer C library"
}

start_kind() {
    need kind docker kubectl cargo
    export KUBECONFIG=$folder/kubeconfig
    step "kind create cluster"
    undo+=("kind delete cluster --name $cluster")
    kind create cluster --name "$cluster" --wait 180s
    make_image
    kind load docker-image "$image" --name "$cluster"
    # The gateway of kind's network is this machine, as its nodes and their pods see it.
    HOST=${HOST:-$(docker network inspect kind --format '{{range .IPAM.Config}}{{.Gateway}}{{"\n"}}{{end}}' | grep -m1 -F .)}
    export HOST
}

use_this_cluster() {
    need docker kubectl cargo
    [ -n "${IMAGE:-}" ] || fail "set IMAGE to a name that the cluster can pull"
    [ -n "${HOST:-}" ] || fail "set HOST to an address of this machine that pods reach"
    export KUBECONFIG=${KUBECONFIG:-$HOME/.kube/config}
    make_image
    docker push "$image"
}

make_namespace() {
    kubectl get namespace "$namespace" >/dev/null 2>&1 && return
    kubectl create namespace "$namespace"
    undo+=("kubectl delete namespace $namespace --wait=false")
}

try_out() {
    make_namespace
    export TRAINHOOK_TEST_KUBERNETES=$KUBECONFIG
    export TRAINHOOK_TEST_KUBERNETES_NAMESPACE=$namespace
    export TRAINHOOK_TEST_KUBERNETES_IMAGE=$image
    export TRAINHOOK_TEST_KUBERNETES_HOST=$HOST
    step "cargo test engines::kubernetes::real"
    cargo test --locked --test it engines::kubernetes::real -- --nocapture --test-threads=1
    local left
    left=$(kubectl --namespace "$namespace" get jobs,secrets --selector app.kubernetes.io/managed-by=trainhook --output name)
    [ -z "$left" ] || fail "left behind: $left"
    step "all passed"
}

trap clean_up EXIT
case ${1:-} in
kind) start_kind && try_out ;;
here) use_this_cluster && try_out ;;
*) fail "kind or here?" ;;
esac
