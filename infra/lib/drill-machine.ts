//! The drill as a state machine, in plain Amazon States Language with JSONPath.

/** Steps in the order of a drill that passes, and who does them. */
export const STEPS = {
  select: 'data',
  thaw: 'data',
  provision: 'control',
  await: 'control',
  restore: 'data',
  compare: 'data',
  checks: 'data',
  'negative-control': 'data',
  'tear-down': 'control',
  gone: 'control',
  report: 'data',
  // The network of drill-data leads to no API of AWS Backup.
  validation: 'control',
} as const;

/** A thaw from DEEP_ARCHIVE takes up to two days; this is for what nobody thought of. */
export const LONGEST_SECONDS = 4 * 86400;

export type Step = keyof typeof STEPS;

/** A task of ECS that does a step, where Lambda's fifteen minutes are too short. */
export interface LongTask {
  cluster: string;
  taskDefinition: string;
  container: string;
  subnets: string[];
  securityGroups: string[];
}

export interface MachineProps {
  /** `aws`, or that of another part of the world. */
  partition: string;
  /** ARNs of functions. */
  control: string;
  data: string;
  long?: LongTask;
}

type State = { [key: string]: unknown };

/** Names as people see them in the console. */
const NAMES: { [step in Step]: string } = {
  select: 'Select',
  thaw: 'Thaw',
  provision: 'Provision',
  await: 'Await',
  restore: 'Restore',
  compare: 'Compare',
  checks: 'Checks',
  'negative-control': 'Negative control',
  'tear-down': 'Tear down',
  gone: 'Gone',
  report: 'Report',
  validation: 'Tell AWS Backup',
};

/** Where a step's failure leads: to the instance's removal as soon as there may be one, and always to the report. What nobody
 *  could report or tell ends the execution, and the rule on its end does. */
function afterFailure(step: Step): string {
  switch (step) {
    case 'select':
    case 'thaw':
    case 'tear-down':
    case 'gone':
      return NAMES.report;
    case 'report':
    case 'validation':
      return 'Failed';
    default:
      return NAMES['tear-down'];
  }
}

/** Where a removal's failure is noted: beside that of the step which failed before it, if one did. */
const REMOVAL_CAUGHT = { error: '$.removal_error', failed_in: '$.removal_failed_in' };
const CAUGHT: { [step in Step]?: typeof REMOVAL_CAUGHT } = { 'tear-down': REMOVAL_CAUGHT, gone: REMOVAL_CAUGHT };

/** What can be done again because nothing is known to have happened; every step takes the same delivery twice. */
const RETRY = [
  {
    ErrorEquals: ['Lambda.ServiceException', 'Lambda.AWSLambdaException', 'Lambda.SdkClientException', 'Lambda.TooManyRequestsException'],
    IntervalSeconds: 2,
    MaxAttempts: 6,
    BackoffRate: 2,
    JitterStrategy: 'FULL',
  },
];

/** Tried again whatever went wrong. */
function persistent(attempts: number): State[] {
  const often = { IntervalSeconds: 5, MaxAttempts: attempts, BackoffRate: 3 };
  return [...RETRY, { ErrorEquals: ['Lambda.Unknown', 'States.Timeout', 'States.TaskFailed'], ...often }, { ErrorEquals: ['States.ALL'], ...often }];
}

/** An instance that remains costs money. What the drill found must reach people, and AWS Backup: for ten minutes, a store or an API
 *  may be out of order. */
const PERSISTENT: { [step in Step]?: State[] } = { 'tear-down': persistent(3), gone: persistent(3), report: persistent(5), validation: persistent(5) };

/** Two states per step: the call, and the note of where it failed. */
function task(step: Step, props: MachineProps, next: string): { [name: string]: State } {
  const execution = { 'execution.$': '$$.Execution.Id' };
  const payload = step === 'select' ? { step, 'request.$': '$', ...execution } : { step, 'state.$': '$', ...(step === 'validation' ? execution : {}) };
  const call = {
    Type: 'Task',
    Resource: `arn:${props.partition}:states:::lambda:invoke`,
    Parameters: { FunctionName: props[STEPS[step]], Payload: payload },
    OutputPath: '$.Payload',
    // A function that hangs is ended by Lambda; this is for a function that is never heard of again.
    TimeoutSeconds: 1000,
    Retry: PERSISTENT[step] ?? RETRY,
  };
  return caught(step, NAMES[step], call, next);
}

/** A step on Fargate: the same request, in an environment variable. What it finds lies in the control store. */
function longTask(step: 'restore' | 'compare', long: LongTask, partition: string, next: string): { [name: string]: State } {
  const run = {
    Type: 'Task',
    Resource: `arn:${partition}:states:::ecs:runTask.sync`,
    Parameters: {
      Cluster: long.cluster,
      TaskDefinition: long.taskDefinition,
      LaunchType: 'FARGATE',
      NetworkConfiguration: { AwsvpcConfiguration: { Subnets: long.subnets, SecurityGroups: long.securityGroups, AssignPublicIp: 'DISABLED' } },
      Overrides: {
        ContainerOverrides: [
          {
            Name: long.container,
            Environment: [{ Name: 'LIFEBOAT_REQUEST', 'Value.$': `States.Format('\\{"step":"${step}","state":{}\\}', States.JsonToString($))` }],
          },
        ],
      },
    },
    ResultPath: null,
    TimeoutSeconds: 12 * 3600,
  };
  return caught(step, `${NAMES[step]} on Fargate`, run, next);
}

function caught(step: Step, name: string, call: State, next: string): { [name: string]: State } {
  const failed = `${name} failed`;
  const { error, failed_in } = CAUGHT[step] ?? { error: '$.error', failed_in: '$.failed_in' };
  const errors = (ErrorEquals: string[]): State => ({ ErrorEquals, ResultPath: error, Next: failed });
  return {
    // States.ALL leaves out what these name in part, and must stand alone.
    [name]: { ...call, Catch: [errors(['Lambda.Unknown', 'States.Timeout', 'States.TaskFailed']), errors(['States.ALL'])], Next: next },
    [failed]: { Type: 'Pass', Result: step, ResultPath: failed_in, Next: afterFailure(step) },
  };
}

/** A question whose field may be missing: then the answer is no. */
function choice(field: string, yes: string, no: string): State {
  const asked = [
    { Variable: `$.${field}`, IsPresent: true },
    { Variable: `$.${field}`, BooleanEquals: true },
  ];
  return { Type: 'Choice', Choices: [{ And: asked, Next: yes }], Default: no };
}

function wait(next: string): State {
  return { Type: 'Wait', SecondsPath: '$.wait_seconds', Next: next };
}

/** The whole machine. */
export function machine(props: MachineProps): { [key: string]: unknown } {
  const restore = props.long === undefined ? NAMES.restore : 'Where?';
  const states: { [name: string]: State } = {
    ...task('select', props, 'Already done?'),
    'Already done?': choice('already', 'Done', 'Thawed?'),
    'Thawed?': choice('thawed', NAMES.provision, 'Wait for thaw'),
    'Wait for thaw': wait(NAMES.thaw),
    ...task('thaw', props, 'Thawed?'),
    ...task('provision', props, 'Available?'),
    'Available?': choice('available', restore, 'Wait for instance'),
    'Wait for instance': wait(NAMES.await),
    ...task('await', props, 'Available?'),
    ...task('restore', props, NAMES.compare),
    ...task('compare', props, NAMES.checks),
    ...task('checks', props, NAMES['negative-control']),
    ...task('negative-control', props, NAMES['tear-down']),
    ...task('tear-down', props, 'Gone?'),
    'Gone?': choice('gone', NAMES.report, 'Wait for removal'),
    'Wait for removal': wait(NAMES.gone),
    ...task('gone', props, 'Gone?'),
    ...task('report', props, 'Adopted?'),
    // Whose instance AWS Backup made, to test its own restores, is told what came of it.
    'Adopted?': choice('adopted', NAMES.validation, 'Done'),
    ...task('validation', props, 'Done'),
    Done: { Type: 'Succeed' },
    Failed: { Type: 'Fail', ErrorPath: '$.error.Error', CausePath: '$.error.Cause' },
  };
  if (props.long !== undefined) {
    states['Where?'] = {
      Type: 'Choice',
      Choices: [
        {
          And: [
            { Variable: '$.runner', IsPresent: true },
            { Variable: '$.runner', StringEquals: 'fargate' },
          ],
          Next: `${NAMES.restore} on Fargate`,
        },
      ],
      Default: NAMES.restore,
    };
    Object.assign(states, longTask('restore', props.long, props.partition, `${NAMES.compare} on Fargate`), longTask('compare', props.long, props.partition, NAMES.checks));
  }
  return {
    Comment: 'A drill of Lifeboat: restores a backup into an instance of its own, compares every table, and removes the instance in every ending',
    StartAt: NAMES.select,
    TimeoutSeconds: LONGEST_SECONDS,
    States: states,
  };
}
