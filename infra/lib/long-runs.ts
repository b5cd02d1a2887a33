//! Runs that outlast Lambda: the same program from the one image, as a task on Fargate, in the network of drills.
import * as cdk from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { LongTask } from './drill-machine';
import { ScratchNetwork } from './network';
import { Resources, rights } from './rights';
import { urlOf } from './store';

export interface LongRunsProps {
  resources: Resources;
  network: ScratchNetwork;
  logKey: cdk.aws_kms.IKey;
  environment: { [name: string]: string };
}

/** The container's name in its task. */
const CONTAINER = 'lifeboat';

export class LongRuns extends Construct {
  readonly task: LongTask;
  private readonly definition: string;
  private readonly roles: string[];

  constructor(scope: Construct, id: string, props: LongRunsProps) {
    super(scope, id);
    const stack = cdk.Stack.of(this);
    const { names, settings } = props.resources;
    const image = settings.deploy.fargate_image;
    if (image === null) throw new Error('deploy.fargate_image is missing');
    const cluster = new ecs.CfnCluster(this, 'Cluster', {
      clusterName: names.of('drill'),
      clusterSettings: [{ name: 'containerInsights', value: 'enabled' }],
    });
    const group = new logs.LogGroup(this, 'Log', {
      logGroupName: `/aws/ecs/${names.of('drill')}`,
      retention: settings.deploy.log_retention_days as logs.RetentionDays,
      encryptionKey: props.logKey,
      removalPolicy: cdk.RemovalPolicy.DESTROY,
    });
    const tasks = (): iam.ServicePrincipal =>
      new iam.ServicePrincipal('ecs-tasks.amazonaws.com', { conditions: { StringEquals: { 'aws:SourceAccount': stack.account } } });
    const role = new iam.Role(this, 'TaskRole', { assumedBy: tasks(), description: 'What a long step of a drill may do: the same as drill-data' });
    role.attachInlinePolicy(new iam.Policy(this, 'TaskPolicy', { statements: rights('drill-data', props.resources) }));
    const execution = new iam.Role(this, 'ExecutionRole', { assumedBy: tasks(), description: 'Fargate pulls the image and writes the log' });
    execution.attachInlinePolicy(new iam.Policy(this, 'ExecutionPolicy', { statements: this.pulling(image, group) }));
    const definition = new ecs.CfnTaskDefinition(this, 'Task', {
      family: names.of('drill-data'),
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
          command: ['drill'],
          readonlyRootFilesystem: true,
          user: '65532:65532',
          mountPoints: [{ containerPath: '/tmp', sourceVolume: 'work', readOnly: false }],
          environment: Object.entries({
            LIFEBOAT_STORE: urlOf(props.resources.store),
            LIFEBOAT_CONTROL_STORE: urlOf(props.resources.control),
            LIFEBOAT_EVENT_BUS: names.prefix,
            LIFEBOAT_ALERT_TOPIC: props.resources.topic,
            LIFEBOAT_LOG: 'info',
            ...props.environment,
          }).map(([name, value]) => ({ name, value })),
          logConfiguration: {
            logDriver: 'awslogs',
            options: { 'awslogs-group': group.logGroupName, 'awslogs-region': stack.region, 'awslogs-stream-prefix': 'drill' },
          },
        },
      ],
    });
    this.definition = definition.ref;
    this.roles = [role.roleArn, execution.roleArn];
    this.task = {
      cluster: cluster.attrArn,
      taskDefinition: definition.ref,
      container: CONTAINER,
      subnets: props.network.placement.subnets.map((subnet) => subnet.subnetId),
      securityGroups: props.network.placement.securityGroups.map((group) => group.securityGroupId),
    };
  }

  /** What the state machine needs to start a task, and to hear of its end. */
  starting(): iam.PolicyStatement[] {
    const stack = cdk.Stack.of(this);
    const here = { ArnEquals: { 'ecs:cluster': this.task.cluster } };
    return [
      new iam.PolicyStatement({ actions: ['ecs:RunTask'], resources: [this.definition], conditions: here }),
      new iam.PolicyStatement({
        actions: ['ecs:DescribeTasks', 'ecs:StopTask'],
        resources: [stack.formatArn({ service: 'ecs', resource: 'task', resourceName: '*' })],
        conditions: here,
      }),
      new iam.PolicyStatement({
        actions: ['iam:PassRole'],
        resources: this.roles,
        conditions: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
      }),
      // https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html
      new iam.PolicyStatement({
        actions: ['events:DescribeRule', 'events:PutRule', 'events:PutTargets'],
        resources: [stack.formatArn({ service: 'events', resource: 'rule', resourceName: 'StepFunctionsGetEventsForECSTaskRule' })],
      }),
    ];
  }

  private pulling(image: string, group: logs.LogGroup): iam.PolicyStatement[] {
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
}
