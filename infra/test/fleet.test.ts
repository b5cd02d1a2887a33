//! A thousand databases: what AWS limits, and that none is forgotten.
import { beforeAll, describe, expect, it } from 'vitest';
import { problems } from '../lib/check';
import { runsPerHour } from '../lib/schedules';
import { Settings } from '../lib/settings';
import { Synthesised, Template, fleet, ofType, resolve, synthesise } from './harness';
import { may, ofFunction, ofRole } from './policies';

const SIZE = 1000;

let whole: Synthesised;
let template: Template;

beforeAll(async () => {
  const settings = fleet(SIZE);
  whole = await synthesise(settings);
  template = whole.templates.Lifeboat!;
});

/** The definition of a machine. */
function definition(operation: string, template = whole.templates.Lifeboat!): any {
  const found = ofType(template, 'AWS::StepFunctions::StateMachine').find(([, m]) => m.Properties.StateMachineName === `lifeboat-fleet-${operation}`)!;
  return JSON.parse(resolve(template, found[1].Properties.DefinitionString));
}

function rulesOf(operation: string): any[] {
  return ofType(template, 'AWS::Events::Rule')
    .map(([, rule]) => rule.Properties)
    .filter((rule) => rule.Name.startsWith(`lifeboat.fleet-${operation}-`));
}

describe('a fleet of 1,000 databases', () => {
  it('fits into what CloudFormation takes: 500 resources, a megabyte', () => {
    for (const [stack, found] of Object.entries(whole.templates)) {
      expect(Object.keys(found.Resources).length, stack).toBeLessThan(300);
      expect(JSON.stringify(found).length, stack).toBeLessThan(700_000);
    }
  });

  it('fits into what Step Functions takes for a definition, and IAM for a role', () => {
    for (const [id, { Properties }] of ofType(template, 'AWS::StepFunctions::StateMachine')) {
      expect(JSON.stringify(resolve(template, Properties.DefinitionString)).length, id).toBeLessThan(1_000_000);
    }
    for (const [id] of ofType(template, 'AWS::IAM::Role')) {
      const policies = ofType(template, 'AWS::IAM::Policy').filter(([, p]) => p.Properties.Roles.some((r: any) => r.Ref === id));
      const size = policies.map(([, p]) => JSON.stringify(resolve(template, p.Properties.PolicyDocument)).length).reduce((a, b) => a + b, 0);
      expect(size, id).toBeLessThan(10_240);
    }
  });

  it('fits on a bus: 300 rules at most, and an operation has few', () => {
    expect(ofType(template, 'AWS::Events::Rule').length).toBeLessThan(50);
  });

  it('is dumped, verified, kept, drilled and looked after without a gap: every database once per operation', () => {
    const all = Array.from({ length: SIZE }, (_, index) => `shop-${String(index).padStart(4, '0')}`);
    for (const operation of ['dump', 'verify', 'retention', 'drill', 'health']) {
      const states = definition(operation).States;
      const listed = Object.values(states).flatMap((state: any) => (state.Type === 'Pass' ? state.Result : []));
      expect(listed.sort(), operation).toEqual(all);
      // Each group is started by a rule of its own, with the group's schedule.
      const groups = states['Which group?'].Choices.map((choice: any) => choice.StringEquals);
      const started = rulesOf(operation).map((rule) => JSON.parse(rule.Targets[0].InputTransformer.InputTemplate.replace('<time>', '"t"')));
      expect(started.map((request) => request.group).sort(), operation).toEqual(groups.sort());
      for (const request of started) expect(request.scheduled_at, operation).toBe('t');
    }
  });

  it('works on a limited number at once, and one failure stops no other', () => {
    for (const [operation, atOnce] of [['dump', 20], ['drill', 5], ['health', 20]] as const) {
      const maps = Object.values(definition(operation).States).filter((state: any) => state.Type === 'Map') as any[];
      expect(maps.length, operation).toBeGreaterThan(0);
      for (const map of maps) {
        expect([map.MaxConcurrency, map.ToleratedFailurePercentage, map.ItemProcessor.ProcessorConfig.Mode]).toEqual([atOnce, 99.9, 'DISTRIBUTED']);
      }
    }
  });

  it('drills on no more at once than the fleet is worked on', async () => {
    const few = fleet(30);
    const { Lifeboat } = (await synthesise({ ...few, deploy: { ...few.deploy, fleet_concurrency: 2 } })).templates;
    const maps = Object.values(definition('drill', Lifeboat!).States).filter((state: any) => state.Type === 'Map') as any[];
    expect(maps.map((map) => map.MaxConcurrency)).toEqual(maps.map(() => 2));
  });

  it('waits for a drill, so that no more instances are there than drills at once, and may: start, watch, stop it', () => {
    for (const state of Object.values(definition('drill').States).filter((found: any) => found.Type === 'Map') as any[]) {
      const { Run } = state.ItemProcessor.States;
      expect([Run.Resource, Run.ResultSelector]).toEqual(['arn:aws:states:::states:startExecution.sync:2', {}]);
    }
    const [, machine] = ofType(template, 'AWS::StepFunctions::StateMachine').find(([, m]) => m.Properties.StateMachineName === 'lifeboat-fleet-drill')!;
    const rights = ofRole(template, machine.Properties.RoleArn['Fn::GetAtt'][0]);
    const states = 'arn:aws:states:eu-central-1:123456789012';
    expect(may(rights, 'states:StartExecution', `${states}:stateMachine:lifeboat-drill`)).toBe(true);
    for (const action of ['states:DescribeExecution', 'states:StopExecution']) {
      expect(may(rights, action, `${states}:execution:lifeboat-drill:a`), action).toBe(true);
      expect(may(rights, action, `${states}:execution:another:a`), action).toBe(false);
    }
    const rule = (name: string): string => `arn:aws:events:eu-central-1:123456789012:rule/${name}`;
    for (const action of ['events:PutRule', 'events:PutTargets', 'events:DescribeRule']) {
      expect(may(rights, action, rule('StepFunctionsGetEventsForStepFunctionsExecutionRule')), action).toBe(true);
      expect(may(rights, action, rule('lifeboat.drill-ended')), action).toBe(false);
    }
  });

  it('asks for each what a rule of its own would', () => {
    const run = (operation: string): any => (Object.values(definition(operation).States).find((s: any) => s.Type === 'Map') as any).ItemProcessor.States.Run;
    const each = { 'database.$': '$.database', 'scheduled_at.$': '$.scheduled_at' };
    expect(run('dump').Parameters.Payload).toEqual(each);
    expect(run('verify').Parameters.Payload).toEqual({ backup: 'older', ...each });
    expect(run('retention').Parameters.Payload).toEqual({ dry_run: false, ...each });
    expect(run('drill').Parameters.Input).toEqual({ select: 'rotate', ...each });
    expect(run('drill').Parameters.StateMachineArn).toMatch(/:stateMachine:lifeboat-drill$/);
  });

  it('is watched by alarms that count: a database of which nobody knows makes the number too small', () => {
    const alarms = ofType(template, 'AWS::CloudWatch::Alarm').map(([, a]) => a.Properties);
    const counting = alarms.filter((a) => JSON.stringify(a.Metrics ?? []).includes('COUNT('));
    expect(counting.map((a) => [a.AlarmName, a.Threshold, a.ComparisonOperator, a.TreatMissingData]).sort()).toEqual([
      ['lifeboat-fleet-backups-known', SIZE, 'LessThanThreshold', 'breaching'],
      ['lifeboat-fleet-drills-known', SIZE, 'LessThanThreshold', 'breaching'],
    ]);
    expect(alarms.map((a) => a.AlarmName)).toEqual(expect.arrayContaining(['lifeboat-heartbeat', 'lifeboat-fleet-critical', 'lifeboat-fleet-backup-age']));
  });

  it('is counted by as many figures as health writes in an hour: two of one database do not hide that another has none', async () => {
    const few = fleet(30);
    few.deploy.health_schedule = 'rate(30 minutes)';
    // Drilled by hand alone: it has a figure that nobody waits for.
    few.databases['shop-0007']!.alarms.drill_age_seconds = null;
    const alarms = ofType((await synthesise(few)).templates.Lifeboat!, 'AWS::CloudWatch::Alarm').map(([, a]) => a.Properties);
    const found = Object.fromEntries(alarms.map((a) => [a.AlarmName, [a.Threshold, a.Metrics?.[0].Expression]]));
    const from = 'FROM SCHEMA("Lifeboat", database)';
    expect(found['lifeboat-fleet-backups-known']).toEqual([60, `SELECT COUNT(BackupAge) ${from}`]);
    expect(found['lifeboat-fleet-drills-known']).toEqual([58, `SELECT COUNT(DrillAge) ${from} WHERE database != 'shop-0007'`]);
    expect(found['lifeboat-fleet-drill-age']![1]).toBe(`SELECT MAX(DrillAge) ${from} WHERE database != 'shop-0007'`);
  });

  it('is refused with a schedule of health that has not as many runs in every hour', () => {
    const few = fleet(30);
    const said = (schedule: string): string => problems({ ...few, deploy: { ...few.deploy, health_schedule: schedule } }, {}).join();
    for (const schedule of ['rate(7 minutes)', 'rate(45 minutes)', 'cron(0 0-12 * * ? *)', 'cron(0 * ? * MON *)']) {
      expect(said(schedule), schedule).toContain(`deploy.health_schedule is ${schedule}`);
    }
    for (const [schedule, runs] of [['rate(1 hour)', 1], ['rate(20 minutes)', 3], ['rate(60 minutes)', 1], ['cron(5 * * * ? *)', 1], ['cron(0/15 * * * ? *)', 4], ['cron(10,40 * * * ? *)', 2], ['cron(*/30 0-23 ? * * *)', 2], ['cron(0-9/3 * * * ? *)', 4]] as const) {
      expect([said(schedule), runsPerHour(schedule)], schedule).toEqual(['', runs]);
    }
  });

  it('may read the secrets of one folder, and no others', () => {
    const policy = Object.values(template.Resources).filter((r) => r.Type === 'AWS::IAM::Policy').map((r) => resolve(template, r.Properties.PolicyDocument));
    const secrets = policy.flatMap((p: any) => p.Statement.filter((s: any) => [s.Action].flat().includes('secretsmanager:GetSecretValue')).flatMap((s: any) => s.Resource));
    expect([...new Set(secrets)].filter((arn) => !String(arn).includes('rds!db')).map((arn) => String(arn).split(':secret:')[1])).toEqual(['lifeboat/source/*']);
  });

  it('gives each function the folder of its own kind of secrets, however many kinds there are', async () => {
    const few = fleet(30);
    const names = Array.from({ length: 30 }, (_, index) => `shop-${String(index).padStart(4, '0')}`);
    few.restore = { targets: Object.fromEntries(names.map((name) => [name, { url: { secret: `lifeboat/target/${name}` } }])) };
    for (const name of names) few.databases[name]!.drill.scratch = { server: { secret: `lifeboat/scratch/${name}` } };
    few.alerts.channels = { team: { slack: { secret: 'lifeboat/channel/team' } } };
    const { Lifeboat } = (await synthesise(few)).templates;
    const readers = (name: string): string[] =>
      ['dump', 'health', 'maintenance', 'drill', 'restore', 'notify', 'verify', 'retention', 'alert'].filter((reader) =>
        may(ofFunction(Lifeboat!, `lifeboat-${reader}`), 'secretsmanager:GetSecretValue', `arn:aws:secretsmanager:eu-central-1:123456789012:secret:lifeboat/${name}-AbCdEf`),
      );
    expect(readers('source/shop-0007')).toEqual(['dump', 'health', 'maintenance']);
    expect(readers('scratch/shop-0007')).toEqual(['health', 'drill']);
    expect(readers('target/shop-0007')).toEqual(['restore']);
    expect(readers('channel/team')).toEqual(['notify']);
    expect(readers('another')).toEqual([]);
  });

  it('is refused where the folder of one kind of secrets holds one of another kind, or where there is no folder', () => {
    const few = fleet(30);
    const said = (change: Partial<Settings>): string => problems({ ...few, ...change }, {}).join('\n');
    const channel = (secret: string): Partial<Settings> => ({ alerts: { ...few.alerts, channels: { team: { slack: { secret } } } } });
    expect(said({})).toBe('');
    expect(said(channel('lifeboat/channel/team'))).toBe('');
    expect(said(channel('lifeboat/source/team'))).toMatch(/given the folder lifeboat\/source\/, in which lifeboat\/source\/team lies, of channels: keep .*lifeboat\/source\/NAME/);
    const byArn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:lifeboat/source/owner-AbCdEf';
    expect(said({ restore: { targets: { production: { url: { secret: byArn } } } } })).toContain('of restore targets and their hooks');
    // One secret that both use is given to both anyway.
    expect(said({ restore: { targets: { production: { url: { secret: 'lifeboat/source/shop-0007' } } } } })).toBe('');
    const scattered = Object.fromEntries(Object.entries(few.databases).map(([name, database]) => [name, { ...database, url: { secret: name } }]));
    expect(said({ databases: scattered })).toContain('the 30 secrets of databases are more than a role can name: keep');
  });
});
