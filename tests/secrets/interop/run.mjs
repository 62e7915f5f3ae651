// Requests as a JSON array on standard input, answers as one on standard output.
// Bytes travel as base64. Keys come over standard input only.
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
const age = await import("age-encryption");
const { decryptSops } = await import("sops-age");

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const base64 = (array) => Buffer.from(array).toString("base64");

const operations = {
  async age_encrypt({ plaintext, recipients, passphrase, armor }) {
    const encrypter = new age.Encrypter();
    for (const recipient of recipients ?? []) encrypter.addRecipient(recipient);
    if (passphrase) {
      encrypter.setScryptWorkFactor(10);
      encrypter.setPassphrase(passphrase);
    }
    const sealed = await encrypter.encrypt(bytes(plaintext));
    return base64(armor ? Buffer.from(age.armor.encode(sealed)) : sealed);
  },
  async age_decrypt({ file, identity, passphrase, armor }) {
    const decrypter = new age.Decrypter();
    if (identity) decrypter.addIdentity(identity);
    if (passphrase) decrypter.addPassphrase(passphrase);
    const sealed = armor ? age.armor.decode(Buffer.from(file, "base64").toString("latin1")) : bytes(file);
    return base64(await decrypter.decrypt(sealed));
  },
  async sops_decrypt({ file, type, identity }) {
    const content = Buffer.from(file, "base64").toString("utf8");
    return await decryptSops(content, { secretKey: identity, fileType: type });
  },
};

const requests = JSON.parse(readFileSync(0, "utf8"));
const answers = [];
for (const { operation, ...request } of requests) {
  try {
    answers.push({ ok: await operations[operation](request) });
  } catch (problem) {
    answers.push({ error: String(problem?.message ?? problem) });
  }
}
process.stdout.write(JSON.stringify(answers));
