// Starts `vsrc lsp` for .vsr files. All that is known of the language is known there.
const { workspace, window } = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

let client;

exports.activate = async function activate() {
  const command = workspace.getConfiguration('vsr').get('server', 'vsrc');
  client = new LanguageClient(
    'vsr',
    'vsr',
    { command, args: ['lsp'] },
    { documentSelector: [{ scheme: 'file', language: 'vsr' }] },
  );
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    window.showWarningMessage(
      `vsr: \`${command} lsp\` does not start (${error.message ?? error}). Set vsr.server to the path of vsrc.`,
    );
  }
};

exports.deactivate = function deactivate() {
  return client?.stop();
};
