/** A release of fleet's own on a host, by tar and sha256sum, exactly as its agent would have put it there. */
import type { ProgramFiles } from './programs.ts';

/**
 * As the agent's user, to whom all below ROOT belongs: root follows no link there that somebody else could have made. In stdin are
 * manifest, sealed fleet.yaml, signature and the list of digests, each as long as its argument says, and the artifact.
 */
export const PUT_PROGRAM = `exec runuser -u fleet -- sh -c '
set -eu
umask 077
root=$1 service=$2 version=$3 digest=$4
home=$root/$service
mkdir -p "$home/staging" "$home/manifests" "$home/sealed" "$home/stats" "$home/signatures" "$home/run" "$home/shared" "$home/releases"
chmod 0755 "$home" "$home/releases" "$home/shared"
cd "$home"
work=$(mktemp -d "$home/staging/put-XXXXXXXX")
trap "rm -rf \\"$work\\"" EXIT
head -c "$5" >"$work/manifest"
head -c "$6" >"$work/sealed"
head -c "$7" >"$work/signature"
head -c "$8" >"$work/sums"
printf "[]" >"$work/stats"
cat >"$work/artifact"
printf "%s  %s\\n" "$digest" "$work/artifact" | sha256sum -c --status || { echo "$service $version did not arrive whole" >&2; exit 1; }
umask 022
mkdir "$work/tree"
tar -xzf "$work/artifact" -C "$work/tree" --no-same-owner
(cd "$work/tree" && sha256sum -c --quiet --strict "$work/sums" >&2)
rm "$work/artifact"
find "$work" -exec sync {} +
rm -rf "$home/releases/$version"
mv -f "$work/manifest" "$home/manifests/$version.json"
mv -f "$work/stats" "$home/stats/$version.json"
mv -f "$work/signature" "$home/signatures/$version.json"
mv -f "$work/sealed" "$home/sealed/$version.json"
mv "$work/tree" "$home/releases/$version"
sync "$home/manifests" "$home/stats" "$home/signatures" "$home/sealed" "$home/releases" "$home"
' sh "$@"`;

export function partsOf({ manifest, manifestBytes, signed }: ProgramFiles): Buffer[] {
  const { identity, sealed } = manifest;
  const sums = filesOf(manifest).map(({ path, sha256 }) => `${sha256}  ${path}\n`);
  return [
    manifestBytes,
    Buffer.from(JSON.stringify({ identity, sealed })),
    Buffer.from(JSON.stringify(signed)),
    Buffer.from(sums.join('')),
  ];
}

export function filesOf({ files }: ProgramFiles['manifest']): Array<{ path: string; sha256: string }> {
  return files.flatMap((entry) =>
    entry.type === 'file' ? [{ path: entry.path, sha256: entry.sha256 }] : [],
  );
}
