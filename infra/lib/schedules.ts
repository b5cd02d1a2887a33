//! When what runs: a rule per database and operation, which hands on the time it was due at.
import * as cdk from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { FunctionName } from './catalog';
import { DatabaseSettings, Names, Settings, databases, scratchKind } from './settings';

/** One operation on one database at its times. */
export interface Scheduled {
  operation: 'dump' | 'verify' | 'retention' | 'drill' | 'health' | 'maintenance';
  database: string;
  schedule: string;
  /** The function that is asked, or the state machine of drills. */
  asks: FunctionName | 'state-machine';
}

/** The request of an operation on a database, without its time: events/<function>/. */
export function request(operation: Scheduled['operation'], database: DatabaseSettings): { [key: string]: unknown } {
  switch (operation) {
    case 'verify':
      return { backup: 'older' };
    case 'retention':
      return { dry_run: false };
    case 'drill':
      return { select: database.drill.select };
    default:
      return {};
  }
}

/** Everything that is done by schedule. */
export function schedules(settings: Settings): Scheduled[] {
  const { deploy } = settings;
  return databases(settings).flatMap(([name, database]) => {
    const found: Scheduled[] = [{ operation: 'health', database: name, schedule: deploy.health_schedule, asks: 'health' }];
    if (database.schedule !== null) {
      found.push({ operation: 'dump', database: name, schedule: database.schedule, asks: 'dump' });
      found.push({ operation: 'verify', database: name, schedule: deploy.verify_schedule, asks: 'verify' });
      found.push({ operation: 'retention', database: name, schedule: deploy.retention_schedule, asks: 'retention' });
    }
    if (database.drill.schedule !== null) {
      const asks = scratchKind(database) === 'rds' ? 'state-machine' : 'drill';
      found.push({ operation: 'drill', database: name, schedule: database.drill.schedule, asks });
    }
    if (database.maintenance.schedule !== null) {
      found.push({ operation: 'maintenance', database: name, schedule: database.maintenance.schedule, asks: 'maintenance' });
    }
    return found;
  });
}

/** How often a schedule comes round in each hour; nothing where not every hour has as many. */
export function runsPerHour(schedule: string): number | undefined {
  const rate = /^rate\((\d+) (minute|hour)s?\)$/.exec(schedule);
  if (rate !== null) {
    const pause = Number(rate[1]) * (rate[2] === 'hour' ? 60 : 1);
    return 60 % pause === 0 ? 60 / pause : undefined;
  }
  const [minutes, hours, ...days] = /^cron\((.*)\)$/.exec(schedule)?.[1]?.trim().split(/\s+/) ?? [];
  if (minutes === undefined || hours === undefined) return undefined;
  if (!['*', '*/1', '0/1', '0-23'].includes(hours) || days.some((field) => field !== '*' && field !== '?')) return undefined;
  const found = new Set<number>();
  for (const part of minutes.split(',')) {
    const [, from, to, step] = /^(\*|\d+)(?:-(\d+))?(?:\/(\d+))?$/.exec(part) ?? [];
    if (from === undefined) return undefined;
    const first = from === '*' ? 0 : Number(from);
    const last = to !== undefined ? Number(to) : from === '*' || step !== undefined ? 59 : first;
    for (let minute = first; minute <= last; minute += Math.max(1, Number(step ?? 1))) found.add(minute);
  }
  return found.size;
}

/** A target that can be asked. */
export interface Target {
  arn: string;
  /** The role by which the rule starts a state machine; functions are permitted by their own policy. */
  roleArn?: string;
}

export interface SchedulesProps {
  names: Names;
  settings: Settings;
  target: (asks: Scheduled['asks']) => Target;
  deadLetters: string;
}

/** A rule for each. */
export class Schedules extends Construct {
  constructor(scope: Construct, id: string, props: SchedulesProps) {
    super(scope, id);
    for (const { operation, database, schedule, asks } of schedules(props.settings)) {
      const settings = props.settings.databases[database]!;
      rule(this, `${operation}-${database}`, {
        name: props.names.of(operation, database),
        description: `${operation} of ${database}`,
        schedule,
        request: { database, ...request(operation, settings) },
        target: props.target(asks),
        deadLetters: props.deadLetters,
      });
    }
  }
}

export interface RuleProps {
  name: string;
  description: string;
  schedule: string;
  request: { [key: string]: unknown };
  target: Target;
  deadLetters: string;
}

/** A rule whose target is asked with the rule's own time in `scheduled_at`: a constant input would lose it. */
export function rule(scope: Construct, id: string, props: RuleProps): events.CfnRule {
  const request = JSON.stringify(props.request);
  const separator = request === '{}' ? '' : ',';
  return new events.CfnRule(scope, id, {
    name: props.name,
    description: props.description,
    scheduleExpression: props.schedule,
    state: 'ENABLED',
    targets: [
      {
        id: 'target',
        arn: props.target.arn,
        roleArn: props.target.roleArn,
        inputTransformer: {
          inputPathsMap: { time: '$.time' },
          inputTemplate: `${request.slice(0, -1)}${separator}"scheduled_at":<time>}`,
        },
        deadLetterConfig: { arn: props.deadLetters },
        retryPolicy: { maximumEventAgeInSeconds: 3600, maximumRetryAttempts: 20 },
      },
    ],
  });
}

/** One permission for all rules of a function: one each would overflow its policy. */
export function permitRules(scope: Construct, id: string, names: Names, target: lambda.IFunction): void {
  new lambda.CfnPermission(scope, id, {
    action: 'lambda:InvokeFunction',
    functionName: target.functionName,
    principal: 'events.amazonaws.com',
    sourceAccount: cdk.Aws.ACCOUNT_ID,
    sourceArn: cdk.Stack.of(scope).formatArn({ service: 'events', resource: 'rule', resourceName: `${names.prefix}-*` }),
  });
}
