//! Instances that AWS Backup's restore tests make: a rule starts the drill of each, whose verdict AWS Backup is told.
import * as cdk from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import { Construct } from 'constructs';
import { DatabaseSettings, Names, Settings, databases } from './settings';
import { starter } from './state-machine';

/** A database whose restore tests are drilled. */
export interface Adopting {
  database: string;
  /** The restore testing plan, by its name or ARN. */
  plan: string;
  /** The instance of RDS that the database runs on. */
  source: string;
}

/** AWS Backup names the instances of its restore tests so, and tags them: docs.aws.amazon.com/aws-backup, restore testing inferred metadata. */
export const TESTED = { instances: 'awsbackup-restore-test-*', tag: 'awsbackup-restore-test' };

/** Every database with a restore testing plan. */
export function adopting(settings: Settings): Adopting[] {
  return databases(settings).flatMap(([database, { drill }]) => {
    const rds = (drill.scratch as Exclude<DatabaseSettings['drill']['scratch'], 'local'>).rds;
    const [plan, source] = [rds?.restore_testing_plan, rds?.source_instance];
    return typeof plan === 'string' && typeof source === 'string' ? [{ database, plan, source }] : [];
  });
}

/** The end of a restore job of the plan that restored the database's instance; a plan may test those of others as well. */
export function pattern({ plan, source }: Adopting): { [key: string]: unknown } {
  // A plan's ARN ends with its name, a hyphen, which no name has, and an id.
  const arn = plan.startsWith('arn:')
    ? plan
    : { prefix: `arn:${cdk.Aws.PARTITION}:backup:${cdk.Aws.REGION}:${cdk.Aws.ACCOUNT_ID}:restore-testing-plan:${plan}-` };
  return {
    source: ['aws.backup'],
    'detail-type': ['Restore Job State Change'],
    detail: {
      status: ['COMPLETED'],
      resourceType: ['RDS'],
      restoreTestingPlanArn: [arn],
      // Of whichever account and region: a plan may restore copies.
      sourceResourceArn: [{ suffix: `:db:${source}` }],
    },
  };
}

export interface AdoptionProps {
  names: Names;
  settings: Settings;
  /** The state machine of drills. */
  machine: string;
  deadLetters: string;
}

/** A rule for each. */
export class Adoption extends Construct {
  constructor(scope: Construct, id: string, props: AdoptionProps) {
    super(scope, id);
    const all = adopting(props.settings);
    if (all.length === 0) return;
    const role = starter(this, 'Starter', [props.machine]);
    for (const one of all) {
      new events.CfnRule(this, `adopt-${one.database}`, {
        name: props.names.of('adopt', one.database),
        description: `A restore test of ${one.database} by AWS Backup is drilled`,
        eventPattern: pattern(one),
        state: 'ENABLED',
        targets: [
          {
            id: 'target',
            arn: props.machine,
            roleArn: role.roleArn,
            inputTransformer: {
              inputPathsMap: { instance: '$.detail.createdResourceArn', job: '$.detail.restoreJobId' },
              inputTemplate: `{"database":${JSON.stringify(one.database)},"origin":{"adopt":{"instance":<instance>,"restore_job":<job>}}}`,
            },
            deadLetterConfig: { arn: props.deadLetters },
            retryPolicy: { maximumEventAgeInSeconds: 3600, maximumRetryAttempts: 20 },
          },
        ],
      });
    }
  }
}
