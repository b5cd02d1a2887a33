//! The templates of a small configuration, whole: what a change of the app changes in an account is seen when it is reviewed.
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { settingsOf, synthesise } from './harness';

it('the templates of a small configuration are those that were reviewed (npx vitest run -u writes them anew)', async () => {
  const { templates } = await synthesise(settingsOf('small'));
  // What the files contain is no matter of the template.
  const text = JSON.stringify(templates, undefined, 1).replace(/[0-9a-f]{64}/g, '<hash>');
  await expect(`${text}\n`).toMatchFileSnapshot(path.join(__dirname, 'snapshots', 'small.json'));
});
