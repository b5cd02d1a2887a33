//! `cdk synth` and `cdk deploy`: reads the configuration and makes the stacks.
import * as cdk from 'aws-cdk-lib';
import { build } from '../lib/app';
import { readSettings } from '../lib/settings';

const app = new cdk.App();
try {
  build(app, readSettings(process.env.LIFEBOAT_CONFIG ?? '../lifeboat.toml'));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exit(1);
}
