//! Runs that outlast Lambda: the same programs from the one image, as tasks on Fargate, each with its function's rights and what it
//! reaches.
import * as cdk from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as assets from 'aws-cdk-lib/aws-s3-assets';
import { Construct } from 'constructs';
import { FunctionName, NEEDS } from './catalog';
import { LongTask } from './drill-machine';
import { Placement, variablesOfAll } from './functions';
import { Resources, rights } from './rights';
import { Settings } from './settings';

/** The container's name in its task. */
const CONTAINER = 'lifeboat';

/** Functions whose runs can be tasks: steps of the state machine are started by it, the others hand over what would outlast them. */
export const TASKS = ['dump', 'verify', 'restore', 'drill', 'drill-data'] as const satisfies readonly FunctionName[];

/** The configuration where tasks find it: beside a function lie its files, beside a container none. */
export class TaskConfiguration extends Construct {
  /** Variables of docs/CONFIG.md. */
  readonly variables: { [name: string]: string };
  /** ARNs of the objects. */
  readonly objects: string[];

  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    if (settings.file === null) throw new Error('tasks read lifeboat.toml: name one with LIFEBOAT_CONFIG');
    const file = (id: string, path: string): assets.Asset => new assets.Asset(this, id, { path });
    const configuration = file('File', settings.file);
    const certificates = settings.tls.root_cert === null ? undefined : file('RootCert', settings.tls.root_cert);
    this.variables = {
      LIFEBOAT_CONFIG: configuration.s3ObjectUrl,
      ...(certificates === undefined ? {} : { LIFEBOAT_ROOT_CERT: certificates.s3ObjectUrl }),
    };
    this.objects = [configuration, ...(certificates === undefined ? [] : [certificates])].map(
      (asset) => `arn:${cdk.Aws.PARTITION}:s3:::${asset.s3BucketName}/${asset.s3ObjectKey}`,
    );
  }
}

export interface LongRunsProps {
  resources: Resources;
  configuration: TaskConfiguration;
  /** Which functions there are. */
  wanted: FunctionName[];
  /** Where databases are reached; without it only steps of the state machine can be tasks. */
  sources?: Placement;
  /** In the same network, for what reaches no database, as its function lies in no network at all. */
  apart?: Placement;
  /** Where scratch instances are reached. */
  scratch?: Placement;
  logKey: cdk.aws_kms.IKey;
  /** Variables that some have besides, as their functions have. */
  environment: { [name in FunctionName]?: { [variable: string]: string } };
  /** Laid over every task's variables, by tests. */
  overlay: { [variable: string]: string };
}

export class LongRuns extends Construct {
  private readonly tasks = new Map<FunctionName, { task: LongTask; family: string; roles: string[] }>();

  constructor(scope: Construct, id: string, props: LongRunsProps) {
    super(scope, id);
    const { names, settings } = props.resources;
    const image = settings.deploy.fargate_image;
    if (image === null) throw new Error('deploy.fargate_image is missing');
    const cluster = new ecs.CfnCluster(this, 'Cluster', {
      clusterName: names.of('tasks'),
      clusterSettings: [{ name: 'containerInsights', value: 'enabled' }],
    });
    const group = new logs.LogGroup(this, 'Log', {
      logGroupName: `/aws/ecs/${names.of('tasks')}`,
      retention: settings.deploy.log_retention_days as logs.RetentionDays,
      encryptionKey: props.logKey,
      removalPolicy: cdk.RemovalPolicy.DESTROY,
    });
    const execution = this.role('ExecutionRole', 'Fargate pulls the image and writes the log', pulling(image, group));
    for (const name of TASKS) {
      const placement = name === 'drill-data' ? props.scratch : NEEDS[name].database === false ? props.apart : props.sources;
      if (!props.wanted.includes(name) || placement === undefined) continue;
      const role = this.role(`${name}Role`, `What Lifeboat's task ${name} may do: the same as the function`, [
        ...rights(name, props.resources),
        new iam.PolicyStatement({ actions: ['s3:GetObject'], resources: props.configuration.objects }),
      ]);
      const variables = {
        AWS_REGION: cdk.Aws.REGION,
        ...variablesOfAll(props.resources),
        ...props.configuration.variables,
        ...props.environment[name],
        ...props.overlay,
      };
      const definition = new ecs.CfnTaskDefinition(this, `${name}Task`, {
        family: names.of(name),
        requiresCompatibilities: ['FARGATE'],
        networkMode: 'awsvpc',
        cpu: '2048',
        memory: '4096',
        runtimePlatform: { cpuArchitecture: settings.deploy.architecture === 'arm64' ? 'ARM64' : 'X86_64', operatingSystemFamily: 'LINUX' },
        taskRoleArn: role.roleArn,
        executionRoleArn: execution.roleArn,
        // The root of the file system is read-only; what is worked with lies here.
        volumes: [{ name: 'work' }],
        containerDefinitions: [
          {
            name: CONTAINER,
            image,
            essential: true,
            // The function's program; whoever starts the task gives it the request.
            command: [NEEDS[name].program],
            readonlyRootFilesystem: true,
            user: '65532:65532',
            // To clean up when it is stopped, as long as Fargate allows.
            stopTimeout: 120,
            mountPoints: [{ containerPath: '/tmp', sourceVolume: 'work', readOnly: false }],
            environment: Object.entries(variables).map(([name, value]) => ({ name, value })),
            logConfiguration: {
              logDriver: 'awslogs',
              options: { 'awslogs-group': group.logGroupName, 'awslogs-region': cdk.Aws.REGION, 'awslogs-stream-prefix': name },
            },
          },
        ],
      });
      this.tasks.set(name, {
        task: {
          cluster: cluster.attrArn,
          taskDefinition: definition.ref,
          container: CONTAINER,
          subnets: placement.subnets.map((subnet) => subnet.subnetId),
          securityGroups: placement.securityGroups.map((group) => group.securityGroupId),
        },
        family: cdk.Stack.of(this).formatArn({ service: 'ecs', resource: 'task-definition', resourceName: `${names.of(name)}:*` }),
        roles: [role.roleArn, execution.roleArn],
      });
    }
    this.tellOfTheFailed(props.resources, cluster.attrArn);
  }

  /**
   * A task that never started, was killed, or did not come as far as its configuration could not tell of it. Which of the others
   * did, nobody can see from here: twice is better than never. Of a drill's steps the state machine tells.
   */
  private tellOfTheFailed({ names, topic, deadLetters }: Resources, cluster: string): void {
    new events.CfnRule(this, 'Failed', {
      name: `${names.prefix}.task-failed`,
      description: 'A task that never started, was killed or failed is told to people',
      eventPattern: {
        source: ['aws.ecs'],
        'detail-type': ['ECS Task State Change'],
        detail: {
          clusterArn: [cluster],
          lastStatus: ['STOPPED'],
          group: [{ 'anything-but': [`family:${names.of('drill-data')}`] }],
          // A container that was started has an exit code, if only the one of what killed it.
          $or: [{ stopCode: ['TaskFailedToStart'] }, { containers: { exitCode: [{ exists: false }] } }, { containers: { exitCode: [{ numeric: ['>', 0] }] } }],
        },
      },
      targets: [
        {
          id: 'alerts',
          arn: topic,
          inputTransformer: {
            inputPathsMap: { run: '$.detail.startedBy', why: '$.detail.stoppedReason', task: '$.detail.taskArn' },
            inputTemplate:
              '"The task of <run> failed: <why>. What it was to do is not done. Unless an alert of its own says more, look at the log of <task>, mend what it says, and invoke the function again with the same request."',
          },
          deadLetterConfig: { arn: deadLetters },
        },
      ],
    });
  }

  /** The task by which a function's runs can be done, if there is one. */
  task(name: FunctionName): LongTask | undefined {
    return this.tasks.get(name)?.task;
  }

  /** What a function that hands runs over is told: docs/CONFIG.md. */
  variables(name: FunctionName): { [variable: string]: string } {
    const task = this.task(name);
    if (task === undefined || name === 'drill-data') return {};
    const { cluster, container, subnets } = task;
    const place = { cluster, task_definition: task.taskDefinition, container, subnets, security_groups: task.securityGroups };
    return { LIFEBOAT_TASK: cdk.Stack.of(this).toJsonString(place) };
  }

  /**
   * What starting a function's task takes: this task definition in this cluster, with its own two roles. In any revision: while a
   * deployment goes on, the function is still told of the one before.
   */
  starting(name: FunctionName): iam.PolicyStatement[] {
    const found = this.tasks.get(name);
    if (found === undefined) return [];
    return [
      new iam.PolicyStatement({
        actions: ['ecs:RunTask'],
        resources: [found.family],
        conditions: { ArnEquals: { 'ecs:cluster': found.task.cluster } },
      }),
      new iam.PolicyStatement({
        actions: ['iam:PassRole'],
        resources: found.roles,
        conditions: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
      }),
    ];
  }

  /** What the state machine needs to start a task, and to hear of its end. */
  waiting(name: FunctionName): iam.PolicyStatement[] {
    const stack = cdk.Stack.of(this);
    const found = this.tasks.get(name);
    if (found === undefined) return [];
    return [
      ...this.starting(name),
      new iam.PolicyStatement({
        actions: ['ecs:DescribeTasks', 'ecs:StopTask'],
        resources: [stack.formatArn({ service: 'ecs', resource: 'task', resourceName: '*' })],
        conditions: { ArnEquals: { 'ecs:cluster': found.task.cluster } },
      }),
      // https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html
      new iam.PolicyStatement({
        actions: ['events:DescribeRule', 'events:PutRule', 'events:PutTargets'],
        resources: [stack.formatArn({ service: 'events', resource: 'rule', resourceName: 'StepFunctionsGetEventsForECSTaskRule' })],
      }),
    ];
  }

  private role(id: string, description: string, statements: iam.PolicyStatement[]): iam.Role {
    const role = new iam.Role(this, id, {
      assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com', { conditions: { StringEquals: { 'aws:SourceAccount': cdk.Stack.of(this).account } } }),
      description,
    });
    role.attachInlinePolicy(new iam.Policy(this, `${id}Policy`, { statements }));
    return role;
  }
}

function pulling(image: string, group: logs.LogGroup): iam.PolicyStatement[] {
  const statements = [new iam.PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [group.logGroupArn] })];
  const repository = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com\/([^:@]+)/.exec(image);
  if (repository === null) throw new Error(`deploy.fargate_image does not lie in ECR: ${image}`);
  const [, account, region, name] = repository;
  statements.push(
    // A token is for the whole registry: the action knows no resource.
    new iam.PolicyStatement({ actions: ['ecr:GetAuthorizationToken'], resources: ['*'] }),
    new iam.PolicyStatement({
      actions: ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
      resources: [`arn:${cdk.Aws.PARTITION}:ecr:${region}:${account}:repository/${name}`],
    }),
  );
  return statements;
}
