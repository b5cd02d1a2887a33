//! Drills on scratch instances: the state machine, and what cleans up when it ends otherwise than by itself.
import * as cdk from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { Adoption } from './adoption';
import { machine } from './drill-machine';
import { LongRuns } from './long-runs';
import { Functions } from './functions';
import { Names, Settings } from './settings';
import { StateMachine } from './state-machine';

export interface DrillProps {
  names: Names;
  settings: Settings;
  functions: Functions;
  logKey: cdk.aws_kms.IKey;
  deadLetters: string;
  long?: LongRuns;
}

export class Drill extends Construct {
  readonly machine: StateMachine;

  constructor(scope: Construct, id: string, props: DrillProps) {
    super(scope, id);
    const { names, functions } = props;
    const control = functions.get('drill-control');
    const data = functions.get('drill-data');
    this.machine = new StateMachine(this, 'StateMachine', {
      name: names.of('drill'),
      definition: machine({ partition: cdk.Aws.PARTITION, control: control.functionArn, data: data.functionArn, long: props.long?.task('drill-data') }),
      statements: [
        new iam.PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [control.functionArn, data.functionArn] }),
        ...(props.long?.waiting('drill-data') ?? []),
      ],
      logKey: props.logKey,
      retention: props.settings.deploy.log_retention_days,
    });
    // A failure at the top cannot be caught within: stopped, out of time, or an error of the machine itself.
    const ended = new events.CfnRule(this, 'Ended', {
      // With a dot, which no database's name has.
      name: `${names.prefix}.drill-ended`,
      description: 'A drill that ended otherwise than by itself: its instance is removed, and DrillFailed is told',
      eventPattern: {
        source: ['aws.states'],
        'detail-type': ['Step Functions Execution Status Change'],
        detail: { status: ['FAILED', 'TIMED_OUT', 'ABORTED'], stateMachineArn: [this.machine.arn] },
      },
      targets: [{ id: 'drill-control', arn: control.functionArn, deadLetterConfig: { arn: props.deadLetters } }],
    });
    new lambda.CfnPermission(this, 'OnEnd', {
      action: 'lambda:InvokeFunction',
      functionName: control.functionName,
      principal: 'events.amazonaws.com',
      sourceArn: ended.attrArn,
    });
    new Adoption(this, 'Adoption', { names, settings: props.settings, machine: this.machine.arn, deadLetters: props.deadLetters });
  }
}
