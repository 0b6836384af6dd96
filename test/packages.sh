# Sourced by quickstart, test/run and bench/run: installs what is missing of .packages.

# install_packages PURPOSE...: one line of output, or none when nothing is missing. Ends the script when it can't.
install_packages() {
    local purpose name
    local -A wanted=()
    for purpose in "$@"; do
        while read -r name; do wanted[$name]=1; done \
            < <(awk -v p="$purpose" '$1 == p { for (i = 2; i <= NF; ++i) print $i }' "$root/.packages")
    done
    local missing=()
    for name in "${!wanted[@]}"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "These packages are missing, and only root can install them: ${missing[*]}" >&2
            exit 1
        }
        as_root=(sudo)
    fi
    echo "Installing ${#missing[@]} packages: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get -qq update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "The packages could not be installed; see above." >&2
        exit 1
    fi
    rm -f "$log"
}
