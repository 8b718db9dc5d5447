// Starts `vsrc lsp` for .vsr files. All that is known of the language is known there.
const { execFile } = require('child_process');
const { promisify } = require('util');
const { workspace, window } = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

let client;

exports.activate = async function activate() {
  const command = workspace.getConfiguration('vsr').get('server', 'vsrc');
  // Where there is no server the client would show a message of its own, too; so it is made only where there is one.
  try {
    await promisify(execFile)(command, ['--version']);
  } catch (error) {
    window.showWarningMessage(
      `vsr: \`${command} lsp\` does not start (${error.message ?? error}). Set vsr.server to the path of vsrc.`,
    );
    return;
  }
  client = new LanguageClient(
    'vsr',
    'vsr',
    { command, args: ['lsp'] },
    { documentSelector: [{ scheme: 'file', language: 'vsr' }] },
  );
  try {
    await client.start();
  } catch {
    // The client has said why.
    client = undefined;
  }
};

exports.deactivate = function deactivate() {
  return client?.stop();
};
