import { labelName, labelValue } from '@fleet/protocol/words.ts';
import { z } from 'zod';

/** Labels as a file has them. A port may stand there without quotes; 1.10 may not, because it would arrive as 1.1. */
export const writtenLabels = z.record(labelName, z.union([labelValue, z.int().min(0).transform(String)]));
