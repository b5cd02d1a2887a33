//! One folder for all that a run of the tests lays aside, removed at its end: what makes packages may be ended before it can tidy up.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

export default function begin(): () => void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lifeboat-infra-tests-'));
  process.env.TMPDIR = folder;
  return () => fs.rmSync(folder, { recursive: true, force: true });
}
