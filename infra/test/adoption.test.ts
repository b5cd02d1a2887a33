//! Restore tests of AWS Backup: its event, as it is, starts the drill of the database whose instance it restored.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { REPOSITORY } from '../lib/settings';
import { Template, fleet, ofType, one, resolve, settingsOf, synthesise } from './harness';

const sample = (name: string): any => JSON.parse(fs.readFileSync(path.join(REPOSITORY, 'events', name), 'utf8'));
const EVENT = sample('aws-backup/restore-job-completed.json');

let template: Template;
let rule: any;

beforeAll(async () => {
  template = (await synthesise(settingsOf('large'))).templates.AcmeProd!;
  rule = resolve(template, one(template, 'AWS::Events::Rule', 'Name', 'acme-prod-adopt-orders').Properties);
});

/** As EventBridge matches, as far as our pattern goes. */
function matches(pattern: any, value: any): boolean {
  if (!Array.isArray(pattern)) return Object.entries(pattern).every(([key, inner]) => value?.[key] !== undefined && matches(inner, value[key]));
  return pattern.some((wanted) => {
    if (typeof wanted === 'string') return wanted === value;
    const [[kind, text]] = Object.entries(wanted) as [[string, string]];
    if (kind === 'prefix') return value.startsWith(text);
    if (kind === 'suffix') return value.endsWith(text);
    throw new Error(`${kind} is not understood here`);
  });
}

/** As EventBridge transforms: each `<name>` is what lies at its path, as JSON. */
function transformed({ InputPathsMap, InputTemplate }: any, event: any): any {
  const at = (path: string): any => path.split('.').slice(1).reduce((value, key) => value[key], event);
  return JSON.parse(InputTemplate.replace(/<(\w+)>/g, (_: string, name: string) => JSON.stringify(at(InputPathsMap[name]))));
}

describe('a restore test of AWS Backup', () => {
  it("is known by its plan and the database's own instance, when it has ended well", () => {
    expect(matches(rule.EventPattern, EVENT)).toBe(true);
    const other = (changes: object): any => ({ ...EVENT, detail: { ...EVENT.detail, ...changes } });
    const plan = EVENT.detail.restoreTestingPlanArn as string;
    for (const changes of [
      { status: 'FAILED' },
      { resourceType: 'Aurora' },
      { restoreTestingPlanArn: plan.replace('weekly-', 'weekly_too-') },
      { restoreTestingPlanArn: undefined },
      { sourceResourceArn: 'arn:aws:rds:eu-central-1:123456789012:db:not-orders-production' },
    ]) {
      expect(matches(rule.EventPattern, other(changes)), JSON.stringify(changes)).toBe(false);
    }
    expect(matches(rule.EventPattern, { ...EVENT, source: 'aws.rds' })).toBe(false);
  });

  it('starts the state machine with its instance and its job', () => {
    const [target] = rule.Targets;
    expect(target.Arn).toBe('arn:aws:states:eu-central-1:123456789012:stateMachine:acme-prod-drill');
    expect(transformed(target.InputTransformer, EVENT)).toEqual(sample('drill/step-select-adopt.json').request);
    expect(target.DeadLetterConfig.Arn).toMatch(/dead-letters$/);
    expect(target.RoleArn).toMatch(/AdoptionStarter/);
  });

  it('of a plan that is named by its ARN is known by all of it', async () => {
    const text = fs.readFileSync(path.join(__dirname, 'configurations', 'small.toml'), 'utf8');
    const scratch = `source_instance = "orders-production", restore_testing_plan = "${EVENT.detail.restoreTestingPlanArn}"`;
    const small = (await synthesise(settingsOf(text.replace('class = "db.t4g.medium"', `class = "db.t4g.medium", ${scratch}`)))).templates.Lifeboat!;
    const { EventPattern } = resolve(small, one(small, 'AWS::Events::Rule', 'Name', 'lifeboat-adopt-orders').Properties);
    expect(EventPattern.detail.restoreTestingPlanArn).toEqual([EVENT.detail.restoreTestingPlanArn]);
  });

  it("must restore into the network of drills, whose names the stack tells", () => {
    expect(template.Outputs!.DrillSubnetGroup.Value).toBe('acme-prod-drill');
    expect(JSON.stringify(template.Outputs!.DrillSecurityGroups.Value)).toContain('GroupId');
  });
});

describe('without a restore testing plan', () => {
  it('no rule listens to AWS Backup, not in a fleet either', async () => {
    for (const settings of [settingsOf('small'), fleet(30)]) {
      const found = (await synthesise(settings)).templates.Lifeboat!;
      expect(JSON.stringify(ofType(found, 'AWS::Events::Rule'))).not.toContain('aws.backup');
      expect(found.Outputs!.DrillSubnetGroup).toBeUndefined();
    }
  });
});
