//! The functions: each with its program, its network and a role of its own.
import * as cdk from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { FunctionName, NEEDS } from './catalog';
import { Code } from './code';
import { Place, urlOf } from './store';
import { LongRuns } from './long-runs';
import { Resources, rights, running } from './rights';

/** A network for functions. */
export interface Placement {
  vpc: ec2.IVpc;
  subnets: ec2.ISubnet[];
  securityGroups: ec2.ISecurityGroup[];
}

export interface FunctionsProps {
  code: Code;
  resources: Resources;
  /** Which functions there are. */
  wanted: FunctionName[];
  logKey: cdk.aws_kms.IKey;
  deadLetters: cdk.aws_sqs.IQueue;
  /** Where databases are reached; without it functions run outside of any network. */
  sources?: Placement;
  /** Where scratch instances are reached. */
  scratch?: Placement;
  /** Variables that some functions have besides. */
  environment: { [name in FunctionName]?: { [variable: string]: string } };
  /** Tasks that take over what would outlast a function. */
  long?: LongRuns;
  /** Laid over every function's variables, by tests. */
  overlay: { [variable: string]: string };
}

export class Functions extends Construct {
  private readonly made = new Map<FunctionName, lambda.Function>();

  constructor(scope: Construct, id: string, props: FunctionsProps) {
    super(scope, id);
    const { resources, code } = props;
    const { settings, names } = resources;
    const architecture = settings.deploy.architecture === 'arm64' ? lambda.Architecture.ARM_64 : lambda.Architecture.X86_64;
    const tools = new lambda.LayerVersion(this, 'ClientTools', {
      layerVersionName: names.of('client-tools'),
      description: 'pg_dump, pg_dumpall, pg_restore and psql in /opt/bin',
      code: code.clientTools(),
      compatibleArchitectures: [architecture],
      compatibleRuntimes: [lambda.Runtime.PROVIDED_AL2023],
    });
    for (const name of props.wanted) {
      const needs = NEEDS[name];
      // The state machine starts those of its steps itself.
      const starting = name === 'drill-data' ? [] : (props.long?.starting(name) ?? []);
      const placement = name === 'drill-data' ? props.scratch : needs.database === false ? undefined : props.sources;
      const scope = new Construct(this, name);
      const logGroup = new logs.LogGroup(scope, 'Log', {
        logGroupName: `/aws/lambda/${names.of(name)}`,
        retention: settings.deploy.log_retention_days as logs.RetentionDays,
        encryptionKey: props.logKey,
        removalPolicy: cdk.RemovalPolicy.DESTROY,
      });
      // No managed policy: what is not in rights.ts, a function may not do.
      const role = new iam.Role(scope, 'Role', {
        assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
        description: `What Lifeboat's function ${name} may do`,
      });
      const policy = new iam.Policy(scope, 'Policy', {
        roles: [role],
        statements: [...running(name, resources, placement !== undefined), ...rights(name, resources), ...starting],
      });
      const made = new lambda.Function(scope, 'Function', {
        functionName: names.of(name),
        description: `Lifeboat: ${name}`,
        runtime: lambda.Runtime.PROVIDED_AL2023,
        handler: 'bootstrap',
        architecture,
        code: code.program(needs.program),
        // An imported role gets no statement but ours.
        role: role.withoutPolicyUpdates(),
        memorySize: needs.memory,
        timeout: cdk.Duration.seconds(needs.seconds),
        tracing: lambda.Tracing.ACTIVE,
        loggingFormat: lambda.LoggingFormat.TEXT,
        logGroup,
        layers: needs.tools ? [tools] : [],
        reservedConcurrentExecutions: settings.deploy.reserved_concurrency ?? undefined,
        ...(placement === undefined
          ? {}
          : { vpc: placement.vpc, vpcSubnets: { subnets: placement.subnets }, securityGroups: placement.securityGroups }),
        environment: {
          ...variablesOfAll(resources),
          ...(needs.tools ? { LIFEBOAT_CLIENT_TOOLS: '/opt/bin' } : {}),
          ...props.environment[name],
          ...props.long?.variables(name),
          ...props.overlay,
        },
      });
      made.node.addDependency(policy);
      new lambda.CfnEventInvokeConfig(scope, 'Asynchronously', {
        functionName: made.functionName,
        qualifier: '$LATEST',
        maximumRetryAttempts: needs.retries,
        maximumEventAgeInSeconds: 6 * 3600,
        destinationConfig: { onFailure: { destination: props.deadLetters.queueArn } },
      });
      this.made.set(name, made);
    }
  }

  /** A function that is deployed. */
  get(name: FunctionName): lambda.Function {
    const found = this.made.get(name);
    if (found === undefined) throw new Error(`${name} is not deployed`);
    return found;
  }

  has(name: FunctionName): boolean {
    return this.made.has(name);
  }

  all(): [FunctionName, lambda.Function][] {
    return [...this.made];
  }
}

/** What every function is told, and every task: docs/CONFIG.md. */
export function variablesOfAll(resources: Resources): { [name: string]: string } {
  const url = (place: Place): string => urlOf(place);
  return {
    LIFEBOAT_STORE: url(resources.store),
    LIFEBOAT_CONTROL_STORE: url(resources.control),
    LIFEBOAT_EVENT_BUS: resources.names.prefix,
    LIFEBOAT_ALERT_TOPIC: resources.topic,
    LIFEBOAT_LOG: 'info',
  };
}
