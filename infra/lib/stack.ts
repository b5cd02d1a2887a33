//! Everything that can be taken down and put up again: functions, rules, alerts, drills, alarms.
import * as cdk from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { adopting } from './adoption';
import { Bus } from './bus';
import { FunctionName, NEEDS } from './catalog';
import { Code, CodeOptions, builtHere } from './code';
import { DataStack } from './data-stack';
import { Drill } from './drill';
import { Fleet } from './fleet';
import { Functions } from './functions';
import { OperationsKey } from './keys';
import { LongRuns, TaskConfiguration } from './long-runs';
import { ScratchNetwork, SourceNetwork } from './network';
import { Observability } from './observability';
import { Resources } from './rights';
import { Schedules, Scheduled, Target, permitRules, schedules } from './schedules';
import { Names, Settings, databases, isFleet, scratchKind } from './settings';
import { starter } from './state-machine';

export interface LifeboatStackProps extends cdk.StackProps {
  settings: Settings;
  data: DataStack;
  /** Variables laid over those of every function, by tests. */
  overlay: { [name: string]: string };
  code?: CodeOptions;
}

export class LifeboatStack extends cdk.Stack {
  readonly functions: Functions;
  readonly resources: Resources;

  constructor(scope: Construct, id: string, props: LifeboatStackProps) {
    super(scope, id, {
      ...props,
      description: 'Lifeboat: backups of PostgreSQL that prove they can be restored.',
      // CloudFormation takes a megabyte, and a fleet's names are many.
      suppressTemplateIndentation: isFleet(props.settings),
    });
    const { settings, data } = props;
    const names = new Names(settings.deploy.name);
    const kinds = new Set(databases(settings).map(([, database]) => scratchKind(database)));
    const code = props.code ?? builtHere(this, settings);
    const wanted = functionsFor(kinds, code.programs);
    const inDrills = kinds.has('rds');

    const key = new OperationsKey(this, 'OperationsKey', `alias/${names.of('operations')}`);
    const bus = new Bus(this, 'Bus', names, key);
    this.resources = {
      names,
      settings,
      store: data.store.store,
      control: data.store.control,
      storeKey: data.key.keyArn,
      operationsKey: key.keyArn,
      bus: bus.bus.attrArn,
      topic: bus.topicArn,
      alertQueue: bus.alertQueue.queueArn,
      deadLetters: bus.deadLetters.queueArn,
    };
    const network = settings.deploy.vpc === null ? undefined : new SourceNetwork(this, 'Sources', settings, names);
    const sources = network?.placement;
    const configuration = settings.deploy.fargate_image === null ? undefined : new TaskConfiguration(this, 'TaskConfiguration', settings);
    const buckets = [...new Set([data.store.store.bucket, data.store.control.bucket])];
    const scratch = inDrills ? new ScratchNetwork(this, 'Scratch', { names, logKey: key, store: buckets, configuration: configuration?.objects }) : undefined;

    // By name: the machine calls the functions that are told of it.
    const drills = {
      LIFEBOAT_DRILL_SUBNET_GROUP: scratch?.subnetGroup ?? '',
      LIFEBOAT_DRILL_SECURITY_GROUPS: scratch?.instanceGroup ?? '',
    };
    const environment = { 'drill-control': drills, 'drill-data': drills };
    const long =
      configuration === undefined
        ? undefined
        : new LongRuns(this, 'LongRuns', { resources: this.resources, configuration, wanted, sources, apart: network?.apart, scratch: scratch?.placement, logKey: key, environment, overlay: props.overlay });
    this.functions = new Functions(this, 'Functions', {
      code: new Code(this, settings, code),
      resources: this.resources,
      wanted,
      logKey: key,
      deadLetters: bus.deadLetters,
      sources,
      scratch: scratch?.placement,
      environment,
      long,
      overlay: props.overlay,
    });
    bus.connect(this.functions, names, settings);
    this.remind(names, bus);

    const machines: string[] = [];
    let drill: Drill | undefined;
    if (scratch !== undefined) {
      drill = new Drill(this, 'Drill', { names, settings, functions: this.functions, logKey: key, deadLetters: bus.deadLetters.queueArn, long });
      machines.push(names.of('drill'));
    }
    machines.push(...this.schedule(names, settings, bus, key, drill));
    new Observability(this, 'Observability', { names, settings, functions: this.functions, bus, machines });
    this.outputs(names, data, adopting(settings).length > 0 ? scratch : undefined);
  }

  /** Rules, one per database and operation, or one per operation of a fleet. Gives the names of its state machines. */
  private schedule(names: Names, settings: Settings, bus: Bus, key: OperationsKey, drill?: Drill): string[] {
    const deadLetters = bus.deadLetters.queueArn;
    const asked = new Set(schedules(settings).map((one) => one.asks));
    const functionOf = (asks: Scheduled['asks']): lambda.Function => this.functions.get(asks as FunctionName);
    if (isFleet(settings)) {
      const target = (asks: Scheduled['asks']): Target => ({ arn: asks === 'state-machine' ? drill!.machine.arn : functionOf(asks).functionArn });
      new Fleet(this, 'Fleet', { names, settings, target, logKey: key, deadLetters });
      return [...new Set(schedules(settings).map((one) => one.operation))].map((operation) => names.of('fleet', operation));
    }
    const role = drill === undefined ? undefined : starter(this, 'Starter', [drill.machine.arn]);
    for (const asks of asked) {
      if (asks !== 'state-machine') permitRules(this, `Rules-${asks}`, names, functionOf(asks));
    }
    const target = (asks: Scheduled['asks']): Target =>
      asks === 'state-machine' ? { arn: drill!.machine.arn, roleArn: role!.roleArn } : { arn: functionOf(asks).functionArn };
    new Schedules(this, 'Schedules', { names, settings, target, deadLetters });
    return [];
  }

  /** Reminders and the digest come although nothing happens. */
  private remind(names: Names, bus: Bus): void {
    const alert = this.functions.get('alert');
    const hourly = new events.CfnRule(this, 'Remind', {
      name: `${names.prefix}.remind`,
      description: 'People are reminded of what lasts, and sent the digest when it is due',
      scheduleExpression: 'rate(1 hour)',
      targets: [{ id: 'alert', arn: alert.functionArn, input: JSON.stringify({ remind: true }), deadLetterConfig: { arn: bus.deadLetters.queueArn } }],
    });
    new lambda.CfnPermission(this, 'OnRemind', {
      action: 'lambda:InvokeFunction',
      functionName: alert.functionName,
      principal: 'events.amazonaws.com',
      sourceArn: hourly.attrArn,
    });
  }

  private outputs(names: Names, data: DataStack, restoreTests?: ScratchNetwork): void {
    const output = (id: string, value: string, description: string): void => void new cdk.CfnOutput(this, id, { value, description });
    output('Store', `s3://${data.store.store.bucket}/${data.store.store.prefix}`.replace(/\/$/, ''), 'LIFEBOAT_STORE for the command line');
    output('ControlStore', `s3://${data.store.control.bucket}/${data.store.control.prefix}`.replace(/\/$/, ''), 'LIFEBOAT_CONTROL_STORE for the command line');
    output('EventBus', names.prefix, 'LIFEBOAT_EVENT_BUS for the command line');
    output('AlertTopic', this.resources.topic, 'LIFEBOAT_ALERT_TOPIC for the command line');
    if (restoreTests === undefined) return;
    output('DrillSubnetGroup', restoreTests.subnetGroup, 'dbSubnetGroupName of restore testing plans, for their instances to be drilled');
    output('DrillSecurityGroups', cdk.Fn.join('', ['["', restoreTests.instanceGroup, '"]']), 'vpcSecurityGroupIds of the same');
  }
}

/** The functions that this configuration has something for. */
export function functionsFor(kinds: Set<'local' | 'server' | 'rds'>, programs: string[]): FunctionName[] {
  const always: FunctionName[] = ['dump', 'verify', 'retention', 'restore', 'health', 'maintenance', 'alert', 'notify'];
  const wanted: FunctionName[] = [
    ...always,
    ...(kinds.has('server') ? (['drill'] as const) : []),
    ...(kinds.has('rds') ? (['drill-control', 'drill-data'] as const) : []),
  ];
  return wanted.filter((name) => programs.includes(NEEDS[name].program));
}
