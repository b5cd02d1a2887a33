//! What functions are made of: programs that cargo has built, the configuration beside them, and PostgreSQL's client tools.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as cdk from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { REPOSITORY, Settings } from './settings';

/** The major version of the client tools: tests/stack/layer. */
const CLIENT_TOOLS = 18;

export interface CodeOptions {
  /** A folder with `<program>/bootstrap` for each. */
  functions: string;
  /** The zip with the client tools. */
  layer: string;
  /** Whether a function that was not built is an error. */
  complete: boolean;
  /** Programs that there are, whether built or not. */
  programs: string[];
}

/** Where `make functions-release` and `make layer` leave what they make. */
export function builtHere(scope: Construct, settings: Settings): CodeOptions {
  const target = path.join(REPOSITORY, 'target');
  const context = (key: string): string | undefined => scope.node.tryGetContext(`lifeboat:${key}`) as string | undefined;
  return {
    functions: context('functions') ?? process.env.LIFEBOAT_FUNCTIONS ?? path.join(target, 'lambda'),
    layer: context('layer') ?? path.join(target, 'layer', `lifeboat-client-tools-${CLIENT_TOOLS}-${settings.deploy.architecture}.zip`),
    complete: context('complete') === 'true',
    programs: fs.readdirSync(path.join(REPOSITORY, 'functions')).filter((name) => fs.existsSync(path.join(REPOSITORY, 'functions', name, 'main.rs'))),
  };
}

/** Makes assets, and tells if any stands in for what was not built. */
export class Code {
  constructor(
    private readonly scope: Construct,
    private readonly settings: Settings,
    private readonly options: CodeOptions,
  ) {}

  /** The package of a program: `bootstrap`, `lifeboat.toml`, and the certificates that it names. */
  program(program: string): lambda.Code {
    const folder = temporaryFolder();
    const built = path.join(this.options.functions, program, 'bootstrap');
    const bootstrap = path.join(folder, 'bootstrap');
    if (fs.existsSync(built)) {
      if (this.options.complete) this.refuseForeign(built, program);
      fs.copyFileSync(built, bootstrap);
    }
    else fs.writeFileSync(bootstrap, this.placeholder(program, 'make functions-release'));
    fs.chmodSync(bootstrap, 0o755);
    this.configuration(folder);
    return lambda.Code.fromAsset(folder);
  }

  /** The layer with pg_dump, pg_restore and psql in /opt/bin. */
  clientTools(): lambda.Code {
    if (fs.existsSync(this.options.layer)) return lambda.Code.fromAsset(this.options.layer);
    const folder = temporaryFolder();
    fs.mkdirSync(path.join(folder, 'bin'));
    fs.writeFileSync(path.join(folder, 'bin', 'MISSING'), this.placeholder('client tools', 'make layer'));
    return lambda.Code.fromAsset(folder);
  }

  private configuration(folder: string): void {
    const file = this.settings.file;
    if (file === null) throw new Error('functions read lifeboat.toml: name one with LIFEBOAT_CONFIG');
    fs.copyFileSync(file, path.join(folder, 'lifeboat.toml'));
    const certificates = this.settings.tls.root_cert;
    if (certificates === null) return;
    const beside = path.relative(path.dirname(path.resolve(file)), path.resolve(certificates));
    if (beside.startsWith('..') || path.isAbsolute(beside)) {
      throw new Error(`tls.root_cert must lie beside lifeboat.toml, to be packaged with it: it is ${certificates}`);
    }
    if (!fs.existsSync(certificates)) throw new Error(`tls.root_cert: there is no ${certificates}`);
    fs.mkdirSync(path.dirname(path.join(folder, beside)), { recursive: true });
    fs.copyFileSync(certificates, path.join(folder, beside));
  }

  /** A program for another machine would be packaged without a word, and not start. */
  private refuseForeign(built: string, program: string): void {
    const { architecture } = this.settings.deploy;
    const header = fs.readFileSync(built).subarray(0, 20);
    const machine = header.length === 20 && header.toString('latin1', 1, 4) === 'ELF' ? header.readUInt16LE(18) : undefined;
    if (machine !== ELF_MACHINES[architecture]) throw new Error(`${program} is not built for ${architecture}: make functions-release`);
  }

  private placeholder(what: string, remedy: string): string {
    if (this.options.complete) throw new Error(`${what} was not built: ${remedy}`);
    const message = 'functions or client tools were not built: stand-ins are packaged that fail (make functions-release, make layer)';
    cdk.Annotations.of(this.scope).addWarningV2('lifeboat:not-built', message);
    return `#!/bin/sh\necho '${what} was not built: ${remedy}' >&2\nexit 1\n`;
  }
}

/** As ELF numbers them. */
const ELF_MACHINES = { x86_64: 0x3e, arm64: 0xb7 };

const temporary: string[] = [];

/** A folder that is gone when this process ends; what becomes an asset is copied from it long before. */
function temporaryFolder(): string {
  if (temporary.length === 0) process.on('exit', () => temporary.forEach((folder) => fs.rmSync(folder, { recursive: true, force: true })));
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lifeboat-package-'));
  temporary.push(folder);
  return folder;
}
