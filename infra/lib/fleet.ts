//! Fleets: one rule per operation and schedule starts a Distributed Map over all databases, a limited number at once.
import * as cdk from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { LONGEST_SECONDS } from './drill-machine';
import { Names, Settings } from './settings';
import { Scheduled, Target, request, rule, schedules } from './schedules';
import { StateMachine, machineArn, starter } from './state-machine';

export interface FleetProps {
  names: Names;
  settings: Settings;
  target: (asks: Scheduled['asks']) => Target;
  logKey: cdk.aws_kms.IKey;
  deadLetters: string;
}

type Operation = Scheduled['operation'];

/** The databases of one operation that share schedule, function and request. */
interface Group {
  schedule: string;
  asks: Scheduled['asks'];
  request: { [key: string]: unknown };
  databases: string[];
}

/** Drills at once of one schedule: each is an instance, or a restore on the server that all share. */
const DRILLS = 5;

export class Fleet extends Construct {
  constructor(scope: Construct, id: string, props: FleetProps) {
    super(scope, id);
    const { names, settings } = props;
    const stack = cdk.Stack.of(this);
    const byOperation = new Map<Operation, Group[]>();
    for (const one of schedules(settings)) {
      const groups = byOperation.get(one.operation) ?? [];
      const { schedule, asks } = one;
      const asked = request(one.operation, settings.databases[one.database]!);
      const same = (g: Group): boolean => g.schedule === schedule && g.asks === asks && JSON.stringify(g.request) === JSON.stringify(asked);
      const group = groups.find(same);
      if (group === undefined) groups.push({ schedule, asks, request: asked, databases: [one.database] });
      else group.databases.push(one.database);
      byOperation.set(one.operation, groups);
    }
    const machines = [...byOperation.keys()].map((operation) => machineArn(stack, names.of('fleet', operation)));
    const role = starter(this, 'Rules', machines);
    for (const [operation, groups] of byOperation) {
      const scope = new Construct(this, operation);
      const machine = new StateMachine(scope, 'Fleet', {
        name: names.of('fleet', operation),
        definition: definition(operation, groups, props),
        statements: statements(operation, groups, props),
        logKey: props.logKey,
        retention: settings.deploy.log_retention_days,
      });
      groups.forEach((group, index) =>
        rule(scope, `Rule${index}`, {
          // With a dot, which no database's name has.
          name: `${names.prefix}.fleet-${operation}-${index}`,
          description: `${operation} of ${group.databases.length} databases`,
          schedule: group.schedule,
          request: { group: String(index) },
          target: { arn: machine.arn, roleArn: role.roleArn },
          deadLetters: props.deadLetters,
        }),
      );
    }
  }
}

/** Which group is due → its databases, inline → the map. */
function definition(operation: Operation, groups: Group[], props: FleetProps): { [key: string]: unknown } {
  const states: { [name: string]: unknown } = {
    'Which group?': {
      Type: 'Choice',
      Choices: groups.map((_, index) => ({ Variable: '$.group', StringEquals: String(index), Next: `Databases ${index}` })),
      Default: 'Unknown group',
    },
    'Unknown group': { Type: 'Fail', Error: 'UnknownGroup', Cause: 'the rule names a group of databases that this state machine does not know' },
  };
  groups.forEach((group, index) => {
    const { arn } = props.target(group.asks);
    states[`Databases ${index}`] = { Type: 'Pass', Result: group.databases, ResultPath: '$.databases', Next: `Each of ${index}` };
    states[`Each of ${index}`] = {
      Type: 'Map',
      ItemsPath: '$.databases',
      ItemSelector: { 'database.$': '$$.Map.Item.Value', 'scheduled_at.$': '$.scheduled_at' },
      MaxConcurrency: atOnce(operation, props.settings),
      // One database's failure is its own: it is told on the bus, and the others go on. Only if all fail, this fails.
      ToleratedFailurePercentage: 99.9,
      ItemProcessor: {
        ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
        StartAt: 'Run',
        States: { Run: group.asks === 'state-machine' ? start(arn, group.request) : invoke(arn, group.request) },
      },
      ResultPath: null,
      Next: 'Done',
    };
  });
  states.Done = { Type: 'Succeed' };
  return { Comment: `${operation} of the whole fleet`, StartAt: 'Which group?', States: states };
}

function atOnce(operation: Operation, { deploy }: Settings): number {
  return operation === 'drill' ? Math.min(deploy.fleet_concurrency, DRILLS) : deploy.fleet_concurrency;
}

/** Throttled: later. Anything else has its own retries within the function. */
const LATER = [
  {
    ErrorEquals: ['Lambda.TooManyRequestsException', 'Lambda.ServiceException', 'Lambda.AWSLambdaException', 'Lambda.SdkClientException'],
    IntervalSeconds: 5,
    MaxAttempts: 8,
    BackoffRate: 2,
    JitterStrategy: 'FULL',
  },
];

function invoke(arn: string, request: { [key: string]: unknown }): unknown {
  return {
    Type: 'Task',
    Resource: `arn:${cdk.Aws.PARTITION}:states:::lambda:invoke`,
    Parameters: { FunctionName: arn, Payload: { ...request, 'database.$': '$.database', 'scheduled_at.$': '$.scheduled_at' } },
    TimeoutSeconds: 1000,
    Retry: LATER,
    ResultSelector: {},
    End: true,
  };
}

/** A drill has a machine of its own, and is waited for: what is not waited for counts for nothing in MaxConcurrency. */
function start(arn: string, request: { [key: string]: unknown }): unknown {
  return {
    Type: 'Task',
    Resource: `arn:${cdk.Aws.PARTITION}:states:::states:startExecution.sync:2`,
    Parameters: { StateMachineArn: arn, Input: { ...request, 'database.$': '$.database', 'scheduled_at.$': '$.scheduled_at' } },
    // It ends by itself before; this is for one that is never heard of again.
    TimeoutSeconds: LONGEST_SECONDS + 3600,
    // The answers of all together must not be more than a map takes.
    ResultSelector: {},
    End: true,
  };
}

function statements(operation: Operation, groups: Group[], props: FleetProps): iam.PolicyStatement[] {
  const arns = (of: (group: Group) => boolean): string[] => [...new Set(groups.filter(of).map((group) => props.target(group.asks).arn))];
  const functions = arns((group) => group.asks !== 'state-machine');
  const machines = arns((group) => group.asks === 'state-machine');
  const stack = cdk.Stack.of(props.logKey);
  const executions = (machine: string): string => `${machine.replace(':stateMachine:', ':execution:')}:*`;
  const own = machineArn(stack, props.names.of('fleet', operation));
  return [
    ...(functions.length > 0 ? [new iam.PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: functions })] : []),
    // A Distributed Map starts its children as executions of the machine itself.
    new iam.PolicyStatement({ actions: ['states:StartExecution'], resources: [own, ...machines] }),
    new iam.PolicyStatement({
      actions: ['states:DescribeExecution', 'states:StopExecution'],
      resources: [executions(own), ...(machines.length > 0 ? [executions(machineArn(stack, props.names.of('drill')))] : [])],
    }),
    // How Step Functions hears of a drill's end: https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
    ...(machines.length > 0
      ? [
          new iam.PolicyStatement({
            actions: ['events:DescribeRule', 'events:PutRule', 'events:PutTargets'],
            resources: [stack.formatArn({ service: 'events', resource: 'rule', resourceName: 'StepFunctionsGetEventsForStepFunctionsExecutionRule' })],
          }),
        ]
      : []),
  ];
}
