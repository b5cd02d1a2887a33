//! How news travels: the bus, the queue before `alert`, the topic behind it, and the queue of what could not be delivered.
import * as cdk from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { NEEDS } from './catalog';
import { Functions } from './functions';
import { Names, Settings } from './settings';

/** What Lifeboat's events name as their source. */
export const SOURCE = 'lifeboat';

/** For how long events are collected, so that an outage is one message. */
const BATCH_SECONDS = 60;

export class Bus extends Construct {
  readonly bus: events.CfnEventBus;
  readonly topic: sns.Topic;
  readonly alertQueue: sqs.Queue;
  readonly deadLetters: sqs.Queue;
  /** The topic's ARN by its name, for roles that must not wait for the topic. */
  readonly topicArn: string;

  constructor(scope: Construct, id: string, names: Names, key: kms.IKey) {
    super(scope, id);
    const stack = cdk.Stack.of(this);
    this.bus = new events.CfnEventBus(this, 'Events', { name: names.prefix, description: 'What Lifeboat tells of its runs' });
    this.topic = new sns.Topic(this, 'Alerts', {
      topicName: names.of('alerts'),
      displayName: 'Lifeboat',
      masterKey: key,
      enforceSSL: true,
    });
    this.topicArn = this.topic.topicArn;
    this.topic.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'AlarmsAndRulesPublish',
        principals: ['cloudwatch.amazonaws.com', 'events.amazonaws.com'].map((name) => new iam.ServicePrincipal(name)),
        actions: ['sns:Publish'],
        resources: [this.topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
      }),
    );
    const queue = (name: string, props: sqs.QueueProps): sqs.Queue =>
      new sqs.Queue(this, name, { encryption: sqs.QueueEncryption.SQS_MANAGED, enforceSSL: true, ...props });
    this.deadLetters = queue('DeadLetters', { queueName: names.of('dead-letters'), retentionPeriod: cdk.Duration.days(14) });
    this.alertQueue = queue('AlertQueue', {
      queueName: names.of('alert'),
      retentionPeriod: cdk.Duration.days(4),
      // Six times the function's time, as AWS asks for, and the time of a batch.
      visibilityTimeout: cdk.Duration.seconds(6 * NEEDS.alert.seconds + BATCH_SECONDS),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: 3 },
    });
    const send = (queue: sqs.Queue, sid: string, service: string, source: string): void => {
      queue.addToResourcePolicy(
        new iam.PolicyStatement({
          sid,
          principals: [new iam.ServicePrincipal(service)],
          actions: ['sqs:SendMessage'],
          resources: [queue.queueArn],
          conditions: { ArnLike: { 'aws:SourceArn': source } },
        }),
      );
    };
    const rules = stack.formatArn({ service: 'events', resource: 'rule', resourceName: `${names.prefix}*` });
    send(this.alertQueue, 'RulesSend', 'events.amazonaws.com', rules);
    send(this.deadLetters, 'RulesSend', 'events.amazonaws.com', rules);
    send(this.deadLetters, 'TopicSends', 'sns.amazonaws.com', this.topic.topicArn);

    new events.CfnRule(this, 'ToAlert', {
      name: names.of('alert'),
      description: 'Whatever happens is collected for the function alert',
      eventBusName: this.bus.ref,
      eventPattern: { source: [SOURCE] },
      targets: [{ id: 'queue', arn: this.alertQueue.queueArn, deadLetterConfig: { arn: this.deadLetters.queueArn } }],
    });
  }

  /** Connects the functions that listen. */
  connect(functions: Functions, names: Names, settings: Settings): void {
    const verify = functions.get('verify');
    const completed = new events.CfnRule(this, 'ToVerify', {
      name: names.of('verify-completed'),
      description: 'A new backup is read back by the function verify',
      eventBusName: this.bus.ref,
      eventPattern: { source: [SOURCE], 'detail-type': ['BackupCompleted'] },
      targets: [{ id: 'verify', arn: verify.functionArn, deadLetterConfig: { arn: this.deadLetters.queueArn } }],
    });
    new lambda.CfnPermission(this, 'VerifyOnCompleted', {
      action: 'lambda:InvokeFunction',
      functionName: verify.functionName,
      principal: 'events.amazonaws.com',
      sourceArn: completed.attrArn,
    });
    new lambda.CfnEventSourceMapping(this, 'AlertBatches', {
      functionName: functions.get('alert').functionName,
      eventSourceArn: this.alertQueue.queueArn,
      batchSize: 100,
      maximumBatchingWindowInSeconds: BATCH_SECONDS,
      functionResponseTypes: ['ReportBatchItemFailures'],
    });
    // Without a channel there is nobody that notify could reach; mail addresses subscribe by themselves.
    if (Object.keys(settings.alerts.channels ?? {}).length > 0) {
      const notify = functions.get('notify');
      this.subscribe('Notify', 'lambda', notify.functionArn);
      new lambda.CfnPermission(this, 'NotifyOnMessage', {
        action: 'lambda:InvokeFunction',
        functionName: notify.functionName,
        principal: 'sns.amazonaws.com',
        sourceArn: this.topic.topicArn,
      });
    }
    settings.deploy.emails.forEach((address, index) => this.subscribe(`Email${index}`, 'email', address));
  }

  private subscribe(id: string, protocol: string, endpoint: string): void {
    new sns.CfnSubscription(this, id, {
      topicArn: this.topic.topicArn,
      protocol,
      endpoint,
      // What the function could not deliver is in its own destination; this is what never reached it.
      ...(protocol === 'lambda' ? { redrivePolicy: { deadLetterTargetArn: this.deadLetters.queueArn } } : {}),
    });
  }
}
