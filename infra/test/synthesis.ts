//! Synthesis in a process of its own, for harness.ts: it takes long on a busy machine, and lets nothing else in or out meanwhile.
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as cdk from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { build } from '../lib/app';
import { NEEDS } from '../lib/catalog';
import { Settings } from '../lib/settings';
import type { Answer, Asked, Synthesised, Template } from './harness';

/** All that there will be. */
const PROGRAMS = [...new Set(Object.values(NEEDS).map((needs) => needs.program))];

/** As `cdk synth` would, into a folder. */
function synthesised(settings: Settings, folder: string, { context, code, packs }: Asked['options']): Synthesised {
  const { context: flags } = JSON.parse(fs.readFileSync(path.join(__dirname, '..', 'cdk.json'), 'utf8')) as { context: object };
  const app = new cdk.App({ outdir: folder, context: { ...flags, ...context }, analyticsReporting: false });
  // Of no machine: what was built here must not change what is tested.
  build(app, settings, { functions: path.join(folder, 'none'), layer: path.join(folder, 'none.zip'), complete: false, programs: PROGRAMS, ...code });
  if (packs) cdk.Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
  const assembly = app.synth();
  const templates = Object.fromEntries(assembly.stacks.map((stack) => [stack.stackName, stack.template as Template]));
  const messages = assembly.stacks.flatMap((stack) => stack.messages.map((message) => `${message.level}: ${String(message.entry.data)}`));
  const protectedStacks = assembly.stacks.filter((stack) => stack.terminationProtection).map((stack) => stack.stackName).sort();
  return { settings, templates, messages, folder, protectedStacks };
}

process.on('message', ({ id, settings, folder, options }: Asked) => {
  const answer = (given: Partial<Answer>): void => void process.send!({ id, ...given });
  try {
    answer({ done: synthesised(settings, folder, options) });
  } catch (error) {
    answer({ failed: (error as Error).message });
  }
});
// Whoever asked is gone.
process.on('disconnect', () => process.exit());
