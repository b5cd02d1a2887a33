//! A state machine with its role, its log and its trace.
import * as cdk from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';

export interface StateMachineProps {
  name: string;
  /** Amazon States Language; may hold ARNs that are known only once deployed. */
  definition: { [key: string]: unknown };
  /** What its role may do besides writing its log. */
  statements: iam.PolicyStatement[];
  logKey: cdk.aws_kms.IKey;
  retention: number;
}

export class StateMachine extends Construct {
  readonly arn: string;
  /** By its name, for whom the machine itself calls. */
  readonly arnByName: string;

  constructor(scope: Construct, id: string, props: StateMachineProps) {
    super(scope, id);
    const stack = cdk.Stack.of(this);
    this.arnByName = machineArn(stack, props.name);
    const log = new logs.LogGroup(this, 'Log', {
      // Log groups of other names would fill up the resource policy of CloudWatch Logs.
      logGroupName: `/aws/vendedlogs/states/${props.name}`,
      retention: props.retention as logs.RetentionDays,
      encryptionKey: props.logKey,
      removalPolicy: cdk.RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('states.amazonaws.com', { conditions: { StringEquals: { 'aws:SourceAccount': stack.account } } }),
      description: `What the state machine ${props.name} may do`,
    });
    const policy = new iam.Policy(this, 'Policy', { roles: [role], statements: [...props.statements, ...logging()] });
    const machine = new sfn.CfnStateMachine(this, 'Machine', {
      stateMachineName: props.name,
      stateMachineType: 'STANDARD',
      definitionString: stack.toJsonString(props.definition),
      roleArn: role.roleArn,
      loggingConfiguration: {
        level: 'ALL',
        includeExecutionData: true,
        destinations: [{ cloudWatchLogsLogGroup: { logGroupArn: log.logGroupArn } }],
      },
      tracingConfiguration: { enabled: true },
    });
    machine.node.addDependency(policy);
    this.arn = machine.ref;
  }
}

export function machineArn(stack: cdk.Stack, name: string): string {
  return stack.formatArn({ service: 'states', resource: 'stateMachine', resourceName: name, arnFormat: cdk.ArnFormat.COLON_RESOURCE_NAME });
}

/** Delivery of logs and traces knows no resources: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html */
function logging(): iam.PolicyStatement[] {
  const delivery = ['CreateLogDelivery', 'DeleteLogDelivery', 'DescribeLogGroups', 'DescribeResourcePolicies', 'GetLogDelivery', 'ListLogDeliveries', 'PutResourcePolicy', 'UpdateLogDelivery'];
  const tracing = ['GetSamplingRules', 'GetSamplingTargets', 'PutTelemetryRecords', 'PutTraceSegments'];
  const actions = [...delivery.map((action) => `logs:${action}`), ...tracing.map((action) => `xray:${action}`)];
  return [new iam.PolicyStatement({ actions, resources: ['*'] })];
}

/** The role by which rules start machines, and nothing else. */
export function starter(scope: Construct, id: string, machines: string[]): iam.Role {
  const role = new iam.Role(scope, id, {
    assumedBy: new iam.ServicePrincipal('events.amazonaws.com', { conditions: { StringEquals: { 'aws:SourceAccount': cdk.Stack.of(scope).account } } }),
    description: 'Rules of Lifeboat start state machines',
  });
  role.attachInlinePolicy(
    new iam.Policy(scope, `${id}Policy`, { statements: [new iam.PolicyStatement({ actions: ['states:StartExecution'], resources: machines })] }),
  );
  return role;
}
