//! The dead man's switch: alarms that need none of Lifeboat's own code to go off, and a dashboard.
import * as cdk from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { Bus } from './bus';
import { FunctionName, NEEDS } from './catalog';
import { Functions } from './functions';
import { runsPerHour } from './schedules';
import { Names, Settings, databases, isFleet } from './settings';

/** shared/runtime/src/metrics.rs */
const NAMESPACE = 'Lifeboat';
const HOUR = 3600;
/** Missing or too high in so many hours: health writes its figures every hour at least. */
const HOURS = 3;

export interface ObservabilityProps {
  names: Names;
  settings: Settings;
  functions: Functions;
  bus: Bus;
  /** Names of the state machines. */
  machines: string[];
}

type Alarm = Omit<cloudwatch.CfnAlarmProps, 'alarmActions' | 'okActions' | 'evaluationPeriods'> & { evaluationPeriods?: number };

export class Observability extends Construct {
  constructor(scope: Construct, id: string, props: ObservabilityProps) {
    super(scope, id);
    const { names, settings, functions, bus } = props;
    const topic = [bus.topic.topicArn];
    const alarm = (id: string, alarm: Alarm): void => {
      new cloudwatch.CfnAlarm(this, id, {
        evaluationPeriods: HOURS,
        alarmActions: topic,
        okActions: topic,
        ...alarm,
      });
    };
    if (isFleet(settings)) fleetAlarms(settings, names, alarm);
    else databaseAlarms(settings, names, alarm);

    // Whoever measures all of this must itself be seen alive.
    alarm('Heartbeat', {
      alarmName: names.of('heartbeat'),
      alarmDescription: 'The function health has not run for three hours: nobody looks after the backups. Look at its rule and its log.',
      namespace: 'AWS/Lambda',
      metricName: 'Invocations',
      dimensions: [{ name: 'FunctionName', value: names.of('health') }],
      statistic: 'Sum',
      period: HOUR,
      comparisonOperator: 'LessThanThreshold',
      threshold: 1,
      treatMissingData: 'breaching',
    });
    alarm('DeadLetters', {
      alarmName: names.of('dead-letters'),
      alarmDescription: `Something was given up: read it in the queue ${names.of('dead-letters')}.`,
      namespace: 'AWS/SQS',
      metricName: 'ApproximateNumberOfMessagesVisible',
      dimensions: [{ name: 'QueueName', value: names.of('dead-letters') }],
      statistic: 'Maximum',
      period: 300,
      evaluationPeriods: 1,
      comparisonOperator: 'GreaterThanThreshold',
      threshold: 0,
      // A queue without traffic for six hours writes no figures.
      treatMissingData: 'notBreaching',
    });
    alarm('AlertsWait', {
      alarmName: names.of('alerts-wait'),
      alarmDescription: 'Events wait for half an hour already: the function alert does not work them off. Look at its log.',
      namespace: 'AWS/SQS',
      metricName: 'ApproximateAgeOfOldestMessage',
      dimensions: [{ name: 'QueueName', value: names.of('alert') }],
      statistic: 'Maximum',
      period: 300,
      evaluationPeriods: 1,
      comparisonOperator: 'GreaterThanThreshold',
      threshold: 1800,
      treatMissingData: 'notBreaching',
    });
    // What fails is told by the function itself; these two are the ones that tell.
    for (const name of ['alert', 'notify'] as FunctionName[]) {
      alarm(`Errors-${name}`, {
        alarmName: names.of(name, 'errors'),
        alarmDescription: `The function ${name} fails: people may not hear of what happens. Look at its log.`,
        namespace: 'AWS/Lambda',
        metricName: 'Errors',
        dimensions: [{ name: 'FunctionName', value: names.of(name) }],
        statistic: 'Sum',
        period: HOUR,
        evaluationPeriods: 1,
        comparisonOperator: 'GreaterThanThreshold',
        threshold: 0,
        treatMissingData: 'notBreaching',
      });
    }
    dashboard(this, names, functions, props.machines);
  }
}

/** Two alarms per database: the last good backup, and the last drill. */
function databaseAlarms(settings: Settings, names: Names, alarm: (id: string, alarm: Alarm) => void): void {
  for (const [database, { alarms }] of databases(settings)) {
    const age = (metricName: string, threshold: number): Alarm => ({
      namespace: NAMESPACE,
      metricName,
      dimensions: [{ name: 'deployment', value: names.prefix }, { name: 'database', value: database }],
      statistic: 'Maximum',
      period: HOUR,
      comparisonOperator: 'GreaterThanThreshold',
      threshold,
      treatMissingData: 'breaching',
    });
    if (alarms.backup_age_seconds !== null) {
      alarm(`BackupAge-${database}`, {
        ...age('BackupAge', alarms.backup_age_seconds),
        alarmName: names.of('backup-age', database),
        alarmDescription: `${database}: the newest good backup is older than ${words(alarms.backup_age_seconds)}, or nobody knows. Run: lifeboat health ${database}`,
      });
    }
    if (alarms.drill_age_seconds !== null) {
      alarm(`DrillAge-${database}`, {
        ...age('DrillAge', alarms.drill_age_seconds),
        alarmName: names.of('drill-age', database),
        alarmDescription: `${database}: no drill has come to its end for ${words(alarms.drill_age_seconds)}, or nobody knows. Run: lifeboat drill ${database}`,
      });
    }
  }
}

/**
 * For a fleet, alarms over all databases: two for each would be more resources than a stack may hold. The oldest
 * backup is compared with the longest objective; a database that passes its own shorter one is found by health, whose
 * findings are counted here; and a database of which there is no figure makes the number of figures too small. COUNT
 * counts figures, not databases: a database has as many in an hour as health has runs. (To count groups would be no
 * way: a query gives 500 of them at most.)
 */
function fleetAlarms(settings: Settings, names: Names, alarm: (id: string, alarm: Alarm) => void): void {
  const all = databases(settings);
  const runs = runsPerHour(settings.deploy.health_schedule);
  if (runs === undefined) throw new Error('deploy.health_schedule has not as many runs in every hour');
  const query = (expression: string, without: string[] = []): Alarm['metrics'] => [
    { id: 'found', expression: `${expression} FROM SCHEMA("${NAMESPACE}", database, deployment)${only(names.prefix, without)}`, period: HOUR, returnData: true },
  ];
  for (const [id, metric, key] of [
    ['Backup', 'BackupAge', 'backup_age_seconds'],
    ['Drill', 'DrillAge', 'drill_age_seconds'],
  ] as const) {
    const limits = all.map(([, { alarms }]) => alarms[key]).filter((limit): limit is number => limit !== null);
    if (limits.length === 0) continue;
    // Backed up or drilled by hand: they have figures all the same.
    const without = all.filter(([, { alarms }]) => alarms[key] === null).map(([name]) => name);
    alarm(`Oldest${id}`, {
      alarmName: names.of('fleet', `${id.toLowerCase()}-age`),
      alarmDescription: `${metric} of a database is above ${words(Math.max(...limits))}. Run: lifeboat status`,
      metrics: query(`SELECT MAX(${metric})`, without),
      comparisonOperator: 'GreaterThanThreshold',
      threshold: Math.max(...limits),
      treatMissingData: 'breaching',
    });
    alarm(`Known${id}s`, {
      alarmName: names.of('fleet', `${id.toLowerCase()}s-known`),
      alarmDescription: `Fewer than ${limits.length} databases have a ${metric} from each run of health: of the others nobody knows. Run: lifeboat status`,
      metrics: query(`SELECT COUNT(${metric})`, without),
      comparisonOperator: 'LessThanThreshold',
      threshold: limits.length * runs,
      treatMissingData: 'breaching',
    });
  }
  alarm('CriticalFindings', {
    alarmName: names.of('fleet', 'critical'),
    alarmDescription: 'Health finds something critical about a database. Run: lifeboat status',
    metrics: query('SELECT MAX(CriticalFindings)'),
    evaluationPeriods: 1,
    comparisonOperator: 'GreaterThanThreshold',
    threshold: 0,
    treatMissingData: 'breaching',
  });
}

/** What CloudWatch takes for an expression, less what stands before. */
const LONGEST_CONDITION = 1900;

/** The condition of figures of one deployment that leaves databases out; of more than a query can name, none is left out. */
function only(deployment: string, without: string[]): string {
  const ours = `deployment = '${deployment}'`;
  const condition = [ours, ...without.map((name) => `database != '${name}'`)].join(' AND ');
  return ` WHERE ${condition.length > LONGEST_CONDITION ? ours : condition}`;
}

/** Seconds for people: `26 hours`, `35 days and 3 hours`. */
export function words(seconds: number): string {
  const unit = (count: number, name: string): string => `${count} ${name}${count === 1 ? '' : 's'}`;
  const hours = Math.round(seconds / HOUR);
  if (hours < 1) return unit(Math.max(1, Math.round(seconds / 60)), 'minute');
  if (hours < 48) return unit(hours, 'hour');
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? unit(days, 'day') : `${unit(days, 'day')} and ${unit(hours % 24, 'hour')}`;
}

function dashboard(scope: Construct, names: Names, functions: Functions, machines: string[]): void {
  const region = cdk.Aws.REGION;
  const search = (metric: string, statistic: string): unknown[] => [
    { expression: `SEARCH('{${NAMESPACE},database,deployment} MetricName="${metric}" deployment="${names.prefix}"', '${statistic}', ${HOUR})`, id: metric.toLowerCase() },
  ];
  const deployed = functions.all().map(([name]) => name);
  const widget = (title: string, metrics: unknown[], index: number): unknown => ({
    type: 'metric',
    x: (index % 2) * 12,
    y: Math.floor(index / 2) * 6,
    width: 12,
    height: 6,
    properties: { title, metrics, region, view: 'timeSeries', stat: 'Maximum', period: HOUR },
  });
  const ofFunctions = (metric: string, stat: string): unknown[] =>
    deployed.map((name) => ['AWS/Lambda', metric, 'FunctionName', names.of(name), { stat, label: name }]);
  const widgets = [
    ['Age of the newest good backup (seconds)', [search('BackupAge', 'Maximum')]],
    ['Since the last drill (seconds)', [search('DrillAge', 'Maximum')]],
    ['Measured time to recover (seconds)', [search('RecoveryTime', 'Maximum')]],
    ['What health finds', [search('Findings', 'Maximum'), search('CriticalFindings', 'Maximum')]],
    ['Stored (bytes)', [search('StoredTotal', 'Maximum')]],
    ['Cost of storage per month (USD, estimated)', [search('MonthlyCost', 'Maximum')]],
    ['Errors of functions', ofFunctions('Errors', 'Sum')],
    [`Longest run of functions (milliseconds; ${NEEDS.dump.seconds} s is the end)`, ofFunctions('Duration', 'Maximum')],
    [
      'Given up, and waiting for alert',
      [
        ['AWS/SQS', 'ApproximateNumberOfMessagesVisible', 'QueueName', names.of('dead-letters')],
        ['AWS/SQS', 'ApproximateAgeOfOldestMessage', 'QueueName', names.of('alert')],
      ],
    ],
    [
      'State machines that failed',
      machines.map((name) => [
        'AWS/States',
        'ExecutionsFailed',
        'StateMachineArn',
        cdk.Stack.of(scope).formatArn({ service: 'states', resource: 'stateMachine', resourceName: name, arnFormat: cdk.ArnFormat.COLON_RESOURCE_NAME }),
        { stat: 'Sum', label: name },
      ]),
    ],
  ] as [string, unknown[]][];
  const shown = widgets.filter(([, metrics]) => metrics.length > 0).map(([title, metrics], index) => widget(title, metrics, index));
  new cloudwatch.CfnDashboard(scope, 'Dashboard', {
    dashboardName: names.prefix,
    dashboardBody: cdk.Stack.of(scope).toJsonString({ start: '-P7D', widgets: shown }),
  });
}
