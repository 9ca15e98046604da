/** The two compressions, with the parameters that make their output the same on every machine. */
import type { Transform } from 'node:stream';
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { Compression } from '@fleet/protocol/manifest.ts';

const CHUNK = 1024 * 1024;
/** No ZSTD_c_nbWorkers: Node's stream does not wait for the workers' last bytes. */
const ZSTD = { [constants.ZSTD_c_compressionLevel]: 3 };
/** log2 of what a zstd frame may ask to be kept in memory: 8 MiB. Level 3 asks for 2. */
const WINDOW = 23;

export function compressor(compression: Compression): Transform {
  return compression === 'zstd'
    ? createZstdCompress({ chunkSize: CHUNK, params: ZSTD })
    : createGzip({ chunkSize: CHUNK, level: 6 });
}

export function decompressor(compression: Compression): Transform {
  const buffers = { chunkSize: CHUNK, readableHighWaterMark: CHUNK, rejectGarbageAfterEnd: true };
  return compression === 'zstd'
    ? createZstdDecompress({ ...buffers, params: { [constants.ZSTD_d_windowLogMax]: WINDOW } })
    : createGunzip(buffers);
}
