//! What others know of good templates: cdk-nag's packs, cfn-lint and checkov, each finding mended or with a reason in writing.
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { REPOSITORY, Settings } from '../lib/settings';
import { fleet, settingsOf, synthesise } from './harness';

const CASES: [string, () => Settings][] = [
  ['small', () => settingsOf('small')],
  ['large', () => settingsOf('large')],
  ['fleet', () => fleet(30)],
];

/** A program of `.tools/bin`, as tests/stack/setup installs it. */
async function tool(name: string, options: string[]): Promise<{ output: string; status: number }> {
  const tools = process.env.LIFEBOAT_TOOLS ?? path.join(REPOSITORY, '.tools');
  const program = path.join(tools, 'bin', name);
  if (!fs.existsSync(program)) throw new Error(`${program} is missing: run tests/stack/setup infra`);
  const env = { ...process.env, BC_API_KEY: '', CKV_DISABLE_TELEMETRY: 'true' };
  try {
    const { stdout } = await promisify(execFile)(program, options, { encoding: 'utf8', env, maxBuffer: 1 << 28 });
    return { output: stdout, status: 0 };
  } catch (error) {
    const { stdout, stderr, code } = error as { stdout: string; stderr: string; code: number };
    return { output: `${stdout}${stderr}`, status: code };
  }
}

function templatesIn(folder: string): string[] {
  return fs.readdirSync(folder).filter((name) => name.endsWith('.template.json')).map((name) => path.join(folder, name));
}

/** W3005: the library makes functions wait for their roles, which they name besides. */
const CFN_LINT = ['--ignore-checks', 'W3005', '--non-zero-exit-code', 'warning', '--regions', 'eu-central-1'];

/** Checks that checkov is not to make, and why. */
const CHECKOV: { [check: string]: string } = {
  CKV_AWS_18: 'the bucket of access logs logs itself nowhere, and the replica is written by S3 alone',
  CKV_AWS_27: "both queues are encrypted with SQS's own keys, which this check does not know; EventBridge needs no right to those",
  CKV_AWS_111: 'tracing, network interfaces and delivery of logs know no resources: test/rights.test.ts holds the list of these actions',
  CKV_AWS_115: "a limit of concurrent runs is the configuration's to set: in an account whose own limit is 10 it cannot be deployed",
  CKV_AWS_116: 'every function has an on-failure destination, which holds more than a dead-letter queue',
  CKV_AWS_117: 'functions that reach databases are in their network where one is configured; the others call AWS alone',
  CKV_AWS_173: 'variables of functions are names of buckets, bus and topic; no secret is among them',
};

describe.each(CASES)('templates of the configuration %s', (_, settings) => {
  it('have no finding of cdk-nag (AwsSolutions, Serverless) without a reason', async () => {
    const { folder } = await synthesise(settings(), { packs: true });
    const report = JSON.parse(fs.readFileSync(path.join(folder, 'validation-report.json'), 'utf8')) as {
      pluginReports: { pluginName: string; violations: { ruleName: string; violatingConstructs: { constructPath: string }[] }[] }[];
    };
    expect(report.pluginReports.map((plugin) => plugin.pluginName)).toEqual(expect.arrayContaining(['AwsSolutions', 'Serverless']));
    const found = report.pluginReports.flatMap(({ pluginName, violations }) =>
      violations.flatMap((v) => v.violatingConstructs.map((c) => `${pluginName} ${v.ruleName}: ${c.constructPath}`)),
    );
    expect(found).toEqual([]);
  });
});

it('templates of all of them are what cfn-lint and checkov take for sound', async () => {
  const templates: string[] = [];
  for (const [, settings] of CASES) {
    templates.push(...templatesIn((await synthesise(settings())).folder));
  }
  expect(templates.length).toBeGreaterThan(2 * CASES.length);
  const skipped = Object.keys(CHECKOV).join(',');
  const options = ['--framework', 'cloudformation', '--skip-check', skipped, '--compact', '--quiet', '--output', 'json', '--skip-download'];
  const [lint, checkov] = await Promise.all([
    tool('cfn-lint', [...CFN_LINT, '--', ...templates]),
    tool('checkov', [...options, ...templates.flatMap((template) => ['--file', template])]),
  ]);
  expect(lint.output.trim()).toBe('');
  expect(lint.status).toBe(0);
  const { results, summary } = JSON.parse(checkov.output) as {
    results: { failed_checks: { check_id: string; check_name: string; resource: string }[] };
    summary: { passed: number; failed: number; parsing_errors: number };
  };
  expect(results.failed_checks.map((c) => `${c.check_id} ${c.resource}: ${c.check_name}`)).toEqual([]);
  expect(summary).toMatchObject({ failed: 0, parsing_errors: 0 });
  expect(summary.passed).toBeGreaterThan(150);
});
