//! What runs: functions, rules and their requests, ways of news, alarms. And what is refused, or stands in for what was not built.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { problems } from '../lib/check';
import { REPOSITORY } from '../lib/settings';
import { Resource, Synthesised, Template, ofType, one, resolve, settingsOf, synthesise } from './harness';

let small: Synthesised;
let large: Synthesised;
let template: Template;

beforeAll(async () => {
  small = await synthesise(settingsOf('small'));
  large = await synthesise(settingsOf('large'));
  template = large.templates.AcmeProd!;
});

/** What a rule sends at a time. */
function sent(rule: Resource): any {
  const { InputPathsMap, InputTemplate } = rule.Properties.Targets[0].InputTransformer;
  expect(InputPathsMap).toEqual({ time: '$.time' });
  return JSON.parse(InputTemplate.replace('<time>', '"2026-11-29T02:00:00Z"'));
}

/** The keys that a function takes in requests, and those it needs. */
function schema(operation: string): { taken: string[]; needed: string[] } {
  const file = path.join(REPOSITORY, 'events', 'schema', `${operation}-request.json`);
  const { properties, required } = JSON.parse(fs.readFileSync(file, 'utf8')) as { properties: object; required?: string[] };
  return { taken: Object.keys(properties), needed: required ?? [] };
}

describe('rules', () => {
  const scheduled = (): [string, Resource][] => ofType(template, 'AWS::Events::Rule').filter(([, r]) => r.Properties.ScheduleExpression !== undefined && r.Properties.Targets[0].InputTransformer !== undefined);

  it('start each operation of each database at its time, with the time in the request', () => {
    const found = Object.fromEntries(scheduled().map(([, rule]) => [rule.Properties.Name, [rule.Properties.ScheduleExpression, sent(rule)]]));
    const at = { scheduled_at: '2026-11-29T02:00:00Z' };
    expect(found).toEqual({
      'acme-prod-dump-orders': ['cron(0 2 * * ? *)', { database: 'orders', ...at }],
      'acme-prod-verify-orders': ['cron(0 6 ? * 1 *)', { database: 'orders', backup: 'older', ...at }],
      'acme-prod-retention-orders': ['cron(0 5 * * ? *)', { database: 'orders', dry_run: false, ...at }],
      'acme-prod-drill-orders': ['cron(0 4 ? * 1#1 *)', { database: 'orders', select: 'rotate', ...at }],
      'acme-prod-health-orders': ['rate(1 hour)', { database: 'orders', ...at }],
      'acme-prod-maintenance-orders': ['cron(0 3 ? * SUN *)', { database: 'orders', ...at }],
      'acme-prod-dump-billing': ['rate(12 hours)', { database: 'billing', ...at }],
      'acme-prod-verify-billing': ['cron(0 6 ? * 1 *)', { database: 'billing', backup: 'older', ...at }],
      'acme-prod-retention-billing': ['cron(0 5 * * ? *)', { database: 'billing', dry_run: false, ...at }],
      'acme-prod-drill-billing': ['cron(0 6 1 * ? *)', { database: 'billing', select: 'latest', ...at }],
      'acme-prod-health-billing': ['rate(1 hour)', { database: 'billing', ...at }],
    });
  });

  it('ask what the functions take', () => {
    for (const [, rule] of scheduled()) {
      const operation = /^acme-prod-(\w+)-/.exec(rule.Properties.Name)![1]!;
      const { taken, needed } = schema(operation);
      const keys = Object.keys(sent(rule));
      expect(taken, operation).toEqual(expect.arrayContaining(keys));
      expect(keys, operation).toEqual(expect.arrayContaining(needed));
    }
  });

  it('are each permitted to invoke their function, by one permission for all', () => {
    for (const [, rule] of scheduled()) {
      const [target] = rule.Properties.Targets;
      const arn = resolve(template, target.Arn) as string;
      if (arn.includes(':stateMachine:')) {
        expect(target.RoleArn).toBeDefined();
        continue;
      }
      const name = arn.split(':').at(-1)!;
      const permits = ofType(template, 'AWS::Lambda::Permission').filter(([, p]) => resolve(template, p.Properties.FunctionName) === name);
      const sources = permits.map(([, p]) => resolve(template, p.Properties.SourceArn) as string);
      expect(sources, name).toContain('arn:aws:events:eu-central-1:123456789012:rule/acme-prod-*');
      expect(rule.Properties.Targets).toHaveLength(1);
    }
  });

  it('leave what they could not deliver in the queue of dead letters', () => {
    for (const [id, rule] of ofType(template, 'AWS::Events::Rule')) {
      for (const target of rule.Properties.Targets) {
        expect(resolve(template, target.DeadLetterConfig.Arn), id).toBe('arn:aws:sqs:eu-central-1:123456789012:acme-prod-dead-letters');
      }
    }
  });
});

describe('functions', () => {
  it('that back up, verify and restore are asked once: their retries are their own', () => {
    const retries = Object.fromEntries(
      ofType(template, 'AWS::Lambda::EventInvokeConfig').map(([, c]) => [resolve(template, c.Properties.FunctionName), c.Properties.MaximumRetryAttempts]),
    );
    for (const name of ['dump', 'verify', 'restore', 'drill', 'maintenance', 'retention']) expect(retries[`acme-prod-${name}`], name).toBe(0);
    expect(Object.keys(retries)).toHaveLength(ofType(template, 'AWS::Lambda::Function').length);
  });

  it('leave word when they fail, trace, and write a log that is kept and encrypted', () => {
    const kept = ofType(template, 'AWS::Logs::LogGroup');
    for (const [id, f] of ofType(template, 'AWS::Lambda::Function')) {
      expect(f.Properties.TracingConfig, id).toEqual({ Mode: 'Active' });
      const [, log] = kept.find(([, g]) => g.Properties.LogGroupName === `/aws/lambda/${f.Properties.FunctionName}`)!;
      expect([log.Properties.RetentionInDays, log.Properties.KmsKeyId !== undefined], id).toEqual([400, true]);
      expect(f.Properties.ReservedConcurrentExecutions, id).toBe(10);
    }
    for (const [id, config] of ofType(template, 'AWS::Lambda::EventInvokeConfig')) {
      expect(resolve(template, config.Properties.DestinationConfig.OnFailure.Destination), id).toMatch(/:acme-prod-dead-letters$/);
    }
  });

  it('know store, control store, bus and topic, and those with client tools where these are', () => {
    const of = (name: string): any => resolve(template, one(template, 'AWS::Lambda::Function', 'FunctionName', `acme-prod-${name}`).Properties).Environment.Variables;
    expect(of('retention')).toEqual({
      LIFEBOAT_STORE: 's3://acme-lifeboat',
      LIFEBOAT_CONTROL_STORE: 's3://acme-lifeboat-state/of',
      LIFEBOAT_EVENT_BUS: 'acme-prod',
      LIFEBOAT_ALERT_TOPIC: 'arn:aws:sns:eu-central-1:123456789012:acme-prod-alerts',
      LIFEBOAT_LOG: 'info',
    });
    expect(of('dump').LIFEBOAT_CLIENT_TOOLS).toBe('/opt/bin');
    for (const name of ['drill-control', 'drill-data']) expect(of(name).LIFEBOAT_DRILL_SUBNET_GROUP, name).not.toBe('');
  });

  it('stand in the databases’ network only if they reach databases', () => {
    const inside = ofType(template, 'AWS::Lambda::Function').filter(([, f]) => JSON.stringify(f.Properties.VpcConfig ?? {}).includes('subnet-01'));
    const names = inside.map(([, f]) => (f.Properties.FunctionName as string).replace('acme-prod-', '')).sort();
    expect(names).toEqual(['drill', 'dump', 'health', 'maintenance', 'restore']);
  });

  it('take variables of a test besides, and otherwise are the same', async () => {
    const overlaid = await synthesise(settingsOf('small'), { context: { 'lifeboat:environment': { AWS_ENDPOINT_URL: 'http://127.0.0.1:4566' } } });
    for (const [, f] of ofType(overlaid.templates.Lifeboat!, 'AWS::Lambda::Function')) {
      expect(f.Properties.Environment.Variables.AWS_ENDPOINT_URL).toBe('http://127.0.0.1:4566');
      delete f.Properties.Environment.Variables.AWS_ENDPOINT_URL;
    }
    expect(overlaid.templates).toEqual(small.templates);
  });

  it('are no others than ours: no custom resource runs code that nobody asked for', () => {
    for (const { templates } of [small, large]) {
      for (const stack of Object.values(templates)) {
        const types = Object.values(stack.Resources).map((resource) => resource.Type);
        expect(types.filter((type) => type.startsWith('Custom::') || type === 'AWS::CloudFormation::CustomResource')).toEqual([]);
        for (const [, f] of ofType(stack, 'AWS::Lambda::Function')) expect(f.Properties.Runtime).toBe('provided.al2023');
      }
    }
  });
});

describe('endpoints of AWS services in the databases’ network', () => {
  /** Who is let in by the group of the endpoints, and by what; and the groups of a function in that network. */
  const doors = (found: Template): { endpoints: string[]; admitted: unknown[]; functions: unknown[] } => {
    const interfaces = ofType(found, 'AWS::EC2::VPCEndpoint').filter(([id, e]) => id.startsWith('Sources') && e.Properties.VpcEndpointType === 'Interface');
    const groups = new Set(interfaces.map(([, e]) => JSON.stringify(e.Properties.SecurityGroupIds)));
    expect(groups.size).toBe(1);
    const [group] = JSON.parse([...groups][0]!) as unknown[];
    const rules = ofType(found, 'AWS::EC2::SecurityGroupIngress').map(([, r]) => r.Properties).filter((r) => JSON.stringify(r.GroupId) === JSON.stringify(group));
    return {
      endpoints: interfaces.map(([, e]) => resolve(found, e.Properties.ServiceName).split('.').at(-1)).sort(),
      admitted: rules.map((r) => [r.SourceSecurityGroupId, r.IpProtocol, r.FromPort, r.ToPort, r.CidrIp]),
      functions: one(found, 'AWS::Lambda::Function', 'FunctionName', 'acme-prod-dump').Properties.VpcConfig.SecurityGroupIds,
    };
  };

  /** The group of tasks that reach no database. */
  const apart = { 'Fn::GetAtt': [expect.stringMatching(/^SourcesApart/), 'GroupId'] };

  it('admit functions and tasks on 443, which have groups of their own that let nothing in', () => {
    const { endpoints, admitted, functions } = doors(template);
    expect(endpoints).toEqual(['api', 'dkr', 'ecs', 'events', 'logs', 'rds', 'secretsmanager', 'sns']);
    expect(functions).toHaveLength(1);
    expect(admitted).toEqual([functions[0], apart].map((group) => [group, 'tcp', 443, 443, undefined]));
  });

  it('admit each of the groups that the configuration names', async () => {
    const { deploy } = large.settings;
    const named = { ...large.settings, deploy: { ...deploy, vpc: { ...deploy.vpc!, security_groups: ['sg-0a1b2c3d', 'sg-1a2b3c4d'] } } };
    const { admitted, functions } = doors((await synthesise(named)).templates.AcmeProd!);
    expect(functions).toEqual(['sg-0a1b2c3d', 'sg-1a2b3c4d']);
    expect(admitted).toEqual([...functions, apart].map((group) => [group, 'tcp', 443, 443, undefined]));
  });
});

describe('news', () => {
  it('goes by the bus to verify, and in batches of a minute to alert', () => {
    const completed = one(template, 'AWS::Events::Rule', 'Name', 'acme-prod-verify-completed');
    expect(completed.Properties.EventPattern).toEqual({ source: ['lifeboat'], 'detail-type': ['BackupCompleted'] });
    expect(resolve(template, completed.Properties.Targets[0].Arn)).toMatch(/:function:acme-prod-verify$/);
    const [[, batches]] = ofType(template, 'AWS::Lambda::EventSourceMapping') as [[string, Resource]];
    expect([batches.Properties.MaximumBatchingWindowInSeconds, batches.Properties.FunctionResponseTypes]).toEqual([60, ['ReportBatchItemFailures']]);
    const queue = one(template, 'AWS::SQS::Queue', 'QueueName', 'acme-prod-alert').Properties;
    const alert = one(template, 'AWS::Lambda::Function', 'FunctionName', 'acme-prod-alert').Properties;
    expect(queue.VisibilityTimeout).toBeGreaterThanOrEqual(6 * alert.Timeout + 60);
    expect(queue.RedrivePolicy.maxReceiveCount).toBe(3);
  });

  it('reaches people by notify and by mail', () => {
    const subscriptions = ofType(template, 'AWS::SNS::Subscription').map(([, s]) => [s.Properties.Protocol, resolve(template, s.Properties.Endpoint)]);
    expect(subscriptions).toEqual([
      ['lambda', 'arn:aws:lambda:eu-central-1:123456789012:function:acme-prod-notify'],
      ['email', 'ops@acme.example'],
    ]);
  });
});

describe('alarms', () => {
  const alarms = (): any[] => ofType(template, 'AWS::CloudWatch::Alarm').map(([, a]) => resolve(template, a.Properties));

  it('go off by silence: a figure that is missing is as bad as one that is too high', () => {
    const ages = alarms().filter((a) => ['BackupAge', 'DrillAge', 'Invocations'].includes(a.MetricName));
    const limits = Object.fromEntries(ages.map((a) => [a.AlarmName, [a.Threshold, a.EvaluationPeriods, a.Period, a.TreatMissingData]]));
    expect(limits).toEqual({
      'acme-prod-backup-age-orders': [26 * 3600, 3, 3600, 'breaching'],
      'acme-prod-backup-age-billing': [expect.any(Number), 3, 3600, 'breaching'],
      'acme-prod-drill-age-orders': [35 * 86400 + 3 * 3600, 3, 3600, 'breaching'],
      'acme-prod-drill-age-billing': [31 * 86400 + 3 * 3600, 3, 3600, 'breaching'],
      'acme-prod-heartbeat': [1, 3, 3600, 'breaching'],
    });
  });

  it('look at figures that the functions write, under the names they write them by', () => {
    const sources = ['shared/runtime/src/metrics.rs', 'shared/runtime/src/runs/health.rs'].map((file) => fs.readFileSync(path.join(REPOSITORY, file), 'utf8')).join();
    for (const { Namespace, MetricName, Dimensions } of alarms().filter((a) => a.Namespace === 'Lifeboat')) {
      expect(sources).toContain(`"${MetricName}"`);
      expect([Namespace, Dimensions.map((d: any) => d.Name)]).toEqual(['Lifeboat', ['deployment', 'database']]);
      expect(sources).toContain('["deployment", "database"]');
      expect(Dimensions[0].Value).toBe('acme-prod');
    }
    const dashboard = JSON.stringify(ofType(template, 'AWS::CloudWatch::Dashboard'));
    for (const [, searched] of dashboard.matchAll(/SEARCH\('(.*?)'/g)) expect(searched).toMatch(/^\{Lifeboat,database,deployment\}.* deployment=\\+"acme-prod\\+"$/);
    for (const [, name] of dashboard.matchAll(/MetricName=\\+"(\w+)/g)) expect(sources).toContain(`"${name}"`);
  });

  it('tell people, and tell them that it is over', () => {
    for (const alarm of alarms()) {
      expect(alarm.AlarmActions, alarm.AlarmName).toEqual(['arn:aws:sns:eu-central-1:123456789012:acme-prod-alerts']);
      expect(alarm.OKActions, alarm.AlarmName).toEqual(alarm.AlarmActions);
    }
    expect(alarms().map((a) => a.AlarmName)).toEqual(expect.arrayContaining(['acme-prod-dead-letters', 'acme-prod-alerts-wait', 'acme-prod-alert-errors', 'acme-prod-notify-errors']));
  });
});

describe('what was not built', () => {
  it('is stood in for, said plainly, when templates are written', () => {
    expect(small.messages.join()).toContain('functions or client tools were not built');
  });

  it('is refused when it is to be deployed', async () => {
    const settings = settingsOf('small');
    await expect(synthesise(settings, { code: { complete: true } })).rejects.toThrow(/was not built: make/);
  });

  it('is refused when it is to be deployed, if it was built for another machine', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lifeboat-built-'));
    try {
      const header = Buffer.alloc(64);
      header.write('\x7fELF', 'latin1');
      header.writeUInt16LE(0x3e, 18);
      for (const program of ['dump', 'verify', 'retention', 'restore', 'drill', 'health', 'maintenance', 'alert', 'notify']) {
        fs.mkdirSync(path.join(folder, program));
        fs.writeFileSync(path.join(folder, program, 'bootstrap'), header);
      }
      const layer = path.join(folder, 'layer.zip');
      fs.writeFileSync(layer, '');
      const built = { complete: true, functions: folder, layer };
      await expect(synthesise(settingsOf('small'), { code: built })).rejects.toThrow(/is not built for arm64/);
      expect((await synthesise(settingsOf('large'), { code: built })).messages.join()).not.toContain('not built');
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it('is left out if there is no such program yet', async () => {
    const without = await synthesise(settingsOf('small'), { code: { programs: ['dump', 'verify', 'retention', 'drill', 'health', 'maintenance', 'alert', 'notify'] } });
    const names = ofType(without.templates.Lifeboat!, 'AWS::Lambda::Function').map(([, f]) => f.Properties.FunctionName);
    expect(names).not.toContain('lifeboat-restore');
    expect(names).toContain('lifeboat-dump');
  });
});

describe('a configuration that functions cannot live with', () => {
  const found = (text: string): string => problems(settingsOf(text), {}).join('\n');

  it('is refused with the way out', () => {
    const base = '[store]\nurl = "s3://acme"\n';
    for (const [text, said] of [
      ['[store]\nurl = "file:///backups"\n[databases.a]\nurl = { secret = "a" }\n', 'functions store in S3'],
      [`${base}[databases.a]\nurl = { env = "A_URL" }\n`, 'names the environment variable A_URL'],
      [`${base}[databases.a]\nidentity = { file = "a.key" }\n`, 'names the file'],
      [`${base}[databases.a]\npassphrase = { env = "A_PASSPHRASE" }\n`, 'names the environment variable A_PASSPHRASE'],
      [`${base}[databases.a]\nurl = { file = "a.url" }\n`, 'names the file'],
      [`${base}[databases.a]\nschedule = "rate(1 day)"\n`, 'databases.a.url is missing'],
      [`${base}[alerts]\nreminder = "24h"\n`, 'no database is configured'],
      [`${base}[alerts.channels.team]\nslack = { env = "HOOK" }\n[databases.a]\nurl = { secret = "a" }\n`, 'alerts.channels.team.slack names'],
    ] as const) {
      expect(found(text)).toContain(said);
    }
  });

  it('is refused by the program itself where it is wrong for anybody', () => {
    expect(() => settingsOf('[deploy]\nname = "Lifeboat"\n')).toThrow(/deploy.name|name: /);
  });
});
