//! The app: its stacks, and the rules that every resource is held to.
import * as cdk from 'aws-cdk-lib';
import { check } from './check';
import { CodeOptions } from './code';
import { DataStack, ReplicaStack } from './data-stack';
import { giveReasons } from './reasons';
import { Names, Settings } from './settings';
import { LifeboatStack } from './stack';

export interface Stacks {
  data: DataStack;
  lifeboat: LifeboatStack;
  replica?: ReplicaStack;
}

/** Makes the stacks of a configuration. */
export function build(app: cdk.App, settings: Settings, code?: CodeOptions): Stacks {
  const overlay = environmentOverlay(app);
  check(settings, overlay);
  const { deploy } = settings;
  const names = new Names(deploy.name);
  const env = { account: deploy.account ?? undefined, region: deploy.region ?? undefined };
  const tags = { lifeboat: names.prefix };
  const data = new DataStack(app, `${names.stack}Data`, settings, { env, tags });
  const lifeboat = new LifeboatStack(app, names.stack, { env, tags, settings, data, overlay, code });
  let replica: ReplicaStack | undefined;
  if (deploy.replica !== null && deploy.replica.bucket === null) {
    replica = new ReplicaStack(app, `${names.stack}Replica`, settings, { env: { ...env, region: deploy.replica.region }, tags });
    // S3 refuses to copy to a bucket that does not exist.
    data.addStackDependency(replica);
  }
  giveReasons(app);
  return { data, lifeboat, replica };
}

/** `lifeboat:environment`: variables for every function where AWS is not AWS, in tests. */
function environmentOverlay(app: cdk.App): { [name: string]: string } {
  const given: unknown = app.node.tryGetContext('lifeboat:environment');
  if (given === undefined) return {};
  const overlay: unknown = typeof given === 'string' ? JSON.parse(given) : given;
  if (typeof overlay !== 'object' || overlay === null || Object.values(overlay).some((value) => typeof value !== 'string')) {
    throw new Error('the context lifeboat:environment is not an object of texts');
  }
  return overlay as { [name: string]: string };
}
