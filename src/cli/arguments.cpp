#include "cli/arguments.hpp"

#include <CLI/CLI.hpp>
#include <sstream>

#include "app/version.hpp"

namespace opi::cli {

namespace {

CLI::App* command(CLI::App& program, Arguments& arguments, const char* name, const char* about, Command which) {
  CLI::App* sub = program.add_subcommand(name, about);
  sub->callback([&arguments, which] { arguments.command = which; });
  return sub;
}

void add_config(CLI::App* sub, Arguments& arguments) {
  sub->add_option("-c,--config", arguments.config,
                  "configuration file (else OPI_CONFIG, ./opi.yaml, ./.opi/opi.yaml, /etc/opi/opi.yaml)")
      ->type_name("FILE");
}

void add_selection(CLI::App* sub, Arguments& arguments, bool required) {
  sub->add_option("project", arguments.project, "a project's name")->required(required)->type_name("PROJECT");
  sub->add_option("deployment", arguments.deployment, "one of its deployments")
      ->required(required)
      ->type_name("DEPLOYMENT");
}

void add_adopt(CLI::App& program, Arguments& arguments) {
  auto* adopt = command(program, arguments, "adopt",
                        "Take over a database that was there before; without an option only print what would change",
                        Command::adopt);
  add_config(adopt, arguments);
  add_selection(adopt, arguments, true);
  auto* additive =
      adopt->add_flag("--additive", arguments.additive, "add what is missing; what is there stays as it is");
  adopt->add_flag("--full", arguments.full, "and make what is there as it is for every deployment")->excludes(additive);
  adopt
      ->add_option("--secret", arguments.secret,
                   "a Secret's manifest, or a file with one line: the owner's password, which stays valid")
      ->type_name("FILE");
  adopt->add_flag("--json", arguments.json, "print JSON");
}

void add_history(CLI::App& program, Arguments& arguments) {
  auto* history = command(program, arguments, "history", "Print what was done, by whom and how it ended; newest first",
                          Command::history);
  add_config(history, arguments);
  history->add_option("project", arguments.project, "a project's name")->required()->type_name("PROJECT");
  history->add_option("deployment", arguments.deployment, "one of its deployments")->type_name("DEPLOYMENT");
  history->add_option("--limit", arguments.limit, "at most so many entries")
      ->default_val(100)
      ->check(CLI::Range(1, 1'000));
  history->add_option("--before", arguments.before, "only entries before the one of this number")->type_name("NUMBER");
  history->add_flag("--json", arguments.json, "print JSON");
}

void add_rotate(CLI::App& program, Arguments& arguments) {
  auto* rotate =
      command(program, arguments, "rotate",
              "Give deployments new passwords; the old ones stay valid for rotation.overlap", Command::rotate);
  add_config(rotate, arguments);
  rotate->add_option("project", arguments.project, "a project's name")->required()->type_name("PROJECT");
  rotate->add_option("deployment", arguments.deployment, "one of its deployments; else all")->type_name("DEPLOYMENT");
  rotate->add_flag("--immediately", arguments.immediately,
                   "a password has leaked: end the old logins and their sessions at once");
  rotate->add_flag("--json", arguments.json, "print JSON");
}

void add_removals(CLI::App& program, Arguments& arguments) {
  auto* removals = program.add_subcommand("removals", "What is not declared any more, and what becomes of it");
  removals->require_subcommand(1);
  auto* list =
      command(*removals, arguments, "list", "Print it, with what the next pass does and why", Command::removals);
  auto* confirm =
      command(*removals, arguments, "confirm", "They may go, whatever the brake says", Command::removals_confirm);
  auto* keep = command(*removals, arguments, "keep", "They stay, until their project file says otherwise",
                       Command::removals_keep);
  confirm->add_flag("--now", arguments.now, "without a grace period");
  auto* name_space = command(*removals, arguments, "namespace",
                             "An empty namespace may be deleted from the cluster, with all that is in it",
                             Command::removals_namespace);
  name_space->add_option("name", arguments.project, "its name in the cluster")->required()->type_name("NAME");
  list->add_flag("--json", arguments.json, "print JSON");
  for (auto* sub : {list, confirm, keep, name_space}) add_config(sub, arguments);
  for (auto* sub : {confirm, keep}) {
    sub->add_option("project", arguments.project, "a project's name")->required()->type_name("PROJECT");
    sub->add_option("deployment", arguments.deployment, "one of its deployments; else all")->type_name("DEPLOYMENT");
  }
}

void add_repositories(CLI::App& program, Arguments& arguments) {
  auto* list = command(program, arguments, "repositories",
                       "Print what the daemon here follows, how far it is, and what fails", Command::repositories);
  auto* suspend = command(program, arguments, "suspend", "Leave a repository or a project alone until it is resumed",
                          Command::suspend);
  auto* resume = command(program, arguments, "resume", "No longer leave it alone", Command::resume);
  auto* reconcile = command(program, arguments, "reconcile", "Look at it now", Command::reconcile);
  suspend->add_option("--reason", arguments.reason, "why, for those who wonder")->type_name("TEXT");
  for (auto* sub : {suspend, resume, reconcile}) {
    sub->add_option("kind", arguments.kind, "repository or project")
        ->required()
        ->check(CLI::IsMember({"repository", "project"}));
    sub->add_option("name", arguments.name, "its name")->required()->type_name("NAME");
  }
  for (auto* sub : {list, suspend, resume, reconcile}) {
    add_config(sub, arguments);
    sub->add_flag("--json", arguments.json, "print JSON");
  }
}

void add_commands(CLI::App& program, Arguments& arguments) {
  auto* serve = command(program, arguments, "serve", "Run the daemon", Command::serve);
  add_config(serve, arguments);

  auto* demo = command(program, arguments, "demo", "Run the daemon on a private PostgreSQL and a local repository",
                       Command::demo);
  demo->add_flag("--once", arguments.once, "provision everything, print what stands, and end");
  demo->add_option("--directory", arguments.directory, "where the demo is kept")
      ->capture_default_str()
      ->type_name("DIR");
  demo->add_option("--examples", arguments.examples, "project files to begin with")->type_name("DIR");

  auto* plan = command(program, arguments, "plan",
                       "Print what would be changed (exit 0: nothing, 2: changes, 1: failed)", Command::plan);
  auto* apply = command(program, arguments, "apply", "Make true what the project files declare", Command::apply);
  for (auto* sub : {plan, apply}) {
    add_config(sub, arguments);
    add_selection(sub, arguments, false);
    sub->add_flag("--json", arguments.json, "print JSON");
  }

  apply->add_option("--digest", arguments.digest, "approve the plan of this digest: refused when it is another by now")
      ->type_name("DIGEST");

  add_rotate(program, arguments);
  add_removals(program, arguments);
  add_repositories(program, arguments);
  add_history(program, arguments);
  add_adopt(program, arguments);

  auto* credentials =
      command(program, arguments, "credentials", "Print how an application connects", Command::credentials);
  add_config(credentials, arguments);
  add_selection(credentials, arguments, true);
  credentials->add_flag("--read-only", arguments.read_only, "of the read-only login, where one is declared");
  credentials->add_option("--format", arguments.format, "uri, env or json")
      ->default_val("uri")
      ->check(CLI::IsMember({"uri", "env", "json"}));

  auto* psql = command(program, arguments, "psql", "Open psql as the application of a deployment", Command::psql);
  add_config(psql, arguments);
  add_selection(psql, arguments, true);
  psql->add_option("arguments", arguments.rest, "given to psql as they are, after --")->type_name("ARGS");

  auto* validate = command(program, arguments, "validate", "Check project files", Command::validate);
  validate->add_option("files", arguments.rest, "project files")->required()->type_name("FILE");
  validate->add_flag("--json", arguments.json, "print JSON");

  command(program, arguments, "schema", "Print the JSON Schema of project files", Command::schema);

  auto* config = program.add_subcommand("config", "Look at the configuration");
  config->require_subcommand(1);
  auto* check = command(*config, arguments, "check", "Say everything that is wrong with it", Command::config_check);
  auto* show = command(*config, arguments, "show", "Print every value and where it comes from; secrets masked",
                       Command::config_show);
  command(*config, arguments, "manual", "Print docs/configuration.md: every field, from the table it is read by",
          Command::config_manual);
  add_config(check, arguments);
  add_config(show, arguments);
  show->add_flag("--json", arguments.json, "print JSON");
}

void add_age(CLI::App& program, Arguments& arguments) {
  auto* group = program.add_subcommand("age", "Keys and files of age, as the programs age and age-keygen");
  group->require_subcommand(1);
  AgeArguments& age = arguments.age;
  auto* keygen =
      command(*group, arguments, "keygen", "Make a key, or with -y print its public part", Command::age_keygen);
  auto* encrypt =
      command(*group, arguments, "encrypt", "Encrypt to recipients or with a passphrase", Command::age_encrypt);
  auto* decrypt =
      command(*group, arguments, "decrypt", "Decrypt with identities or a passphrase", Command::age_decrypt);
  for (auto* sub : {keygen, encrypt, decrypt}) {
    sub->add_option("-o,--output", age.output, "file to write (else standard output)")->type_name("FILE");
    sub->add_option("input", age.input, "file to read (else standard input)")->type_name("FILE");
  }
  keygen->add_flag("-y", age.convert, "convert an identity file to its public keys");
  for (auto* sub : {encrypt, decrypt}) {
    sub->add_option("-i,--identity", age.identity_files, "identity file; may be repeated")
        ->allow_extra_args(false)
        ->type_name("FILE");
    sub->add_option("-j", age.plugin, "plugin (not supported)")->type_name("NAME");
  }
  encrypt->add_option("-r,--recipient", age.recipients, "public key, age1…; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY");
  encrypt->add_option("-R,--recipients-file", age.recipient_files, "file with public keys; may be repeated")
      ->allow_extra_args(false)
      ->type_name("FILE");
  encrypt->add_flag("-p,--passphrase", age.passphrase, "ask for a passphrase");
  encrypt->add_flag("-a,--armor", age.armor, "write text");
}

void add_sops_keys(CLI::App* sub, SopsArguments& sops) {
  sub->add_option("-a,--age", sops.age, "age recipients, separated by commas")->type_name("KEYS");
  for (const char* service : {"-k,--kms", "-p,--pgp", "--gcp-kms", "--hckms", "--azure-kv", "--hc-vault-transit"}) {
    sub->add_option(service, sops.foreign_keys, "not supported")->type_name("KEYS");
  }
  sub->add_option("--unencrypted-suffix", sops.unencrypted_suffix, "keys that end with it stay plain");
  sub->add_option("--encrypted-suffix", sops.encrypted_suffix, "only keys that end with it are encrypted");
  sub->add_option("--unencrypted-regex", sops.unencrypted_regex, "keys that match stay plain");
  sub->add_option("--encrypted-regex", sops.encrypted_regex, "only keys that match are encrypted");
  sub->add_option("--unencrypted-comment-regex", sops.unencrypted_comment_regex,
                  "values below such a comment stay plain");
  sub->add_option("--encrypted-comment-regex", sops.encrypted_comment_regex,
                  "only values below such a comment are encrypted");
  sub->add_flag("--mac-only-encrypted", sops.mac_only_encrypted, "leave plain values out of the MAC");
}

void add_sops(CLI::App& program, Arguments& arguments) {
  auto* group = program.add_subcommand("sops", "SOPS files with age keys, as the program sops");
  group->require_subcommand(1);
  SopsArguments& sops = arguments.sops;
  auto* encrypt = command(*group, arguments, "encrypt", "Encrypt a file", Command::sops_encrypt);
  auto* decrypt = command(*group, arguments, "decrypt", "Decrypt a file", Command::sops_decrypt);
  auto* edit = command(*group, arguments, "edit", "Edit the values of a file", Command::sops_edit);
  auto* update =
      command(*group, arguments, "updatekeys", "Seal files to the keys of .sops.yaml", Command::sops_updatekeys);
  group->add_option("--config", sops.config, "configuration file (else SOPS_CONFIG, .sops.yaml here or above)");
  for (auto* sub : {encrypt, decrypt, edit, update}) {
    sub->add_option("--config", sops.config, "configuration file")->type_name("FILE");
    sub->add_option("--input-type", sops.input_type, "yaml, json, dotenv, ini or binary")->type_name("TYPE");
    // Options of the program that change nothing here.
    for (const char* option : {"--verbose", "--enable-local-keyservice"}) {
      sub->add_flag(option, arguments.ignored_flag)->group("");
    }
    sub->add_option("--decryption-order", arguments.ignored_text)->group("");
  }
  for (auto* sub : {encrypt, decrypt}) {
    sub->add_option("file", sops.input, "file to read (else standard input)")->type_name("FILE");
    sub->add_flag("-i,--in-place", sops.in_place, "write to the file itself");
    sub->add_option("--output", sops.output, "file to write (else standard output)")->type_name("FILE");
    sub->add_option("--output-type", sops.output_type, "yaml, json, dotenv, ini or binary")->type_name("TYPE");
    sub->add_option("--filename-override", sops.filename_override, "name that decides about type and rules");
  }
  for (auto* sub : {decrypt, encrypt, edit}) sub->add_option("--indent", sops.indent, "spaces of indentation");
  decrypt->add_option("--extract", sops.extract, R"(one value: '["key"][0]')")->type_name("PATH");
  for (auto* sub : {decrypt, edit}) sub->add_flag("--ignore-mac", sops.ignore_mac, "do not verify the MAC");
  edit->add_option("file", sops.input, "file to edit; made when it is not there")->type_name("FILE");
  for (auto* sub : {encrypt, edit}) add_sops_keys(sub, sops);
  update->add_option("files", sops.files, "encrypted files")->type_name("FILE");
  update->add_flag("-y,--yes", sops.yes, "do not ask");
}

void add_secrets(CLI::App& program, Arguments& arguments) {
  auto* group = program.add_subcommand("secrets", "What the control database keeps sealed");
  group->require_subcommand(1);
  auto* reseal = command(*group, arguments, "reseal", "Seal everything to the first platform key (rotation)",
                         Command::secrets_reseal);
  add_config(reseal, arguments);
  reseal->add_flag("--dry-run", arguments.dry_run, "only say what would be sealed anew");
  auto* replace = command(*group, arguments, "replace-key",
                          "Give a project another age key; the old one stays beside it for cluster.secrets.key_overlap",
                          Command::secrets_replace_key);
  add_config(replace, arguments);
  replace->add_option("project", arguments.project, "a project's name")->required()->type_name("PROJECT");
}

}  // namespace

std::expected<Arguments, Leave> parse_arguments(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App program{std::string(app::product_title) + ": makes true what project files in Git declare", "opi"};
  program.set_version_flag("--version",
                           std::string("opi ") + std::string(app::version()) + " (" + std::string(app::commit()) + ")");
  program.require_subcommand(1);
  add_commands(program, arguments);
  add_age(program, arguments);
  add_sops(program, arguments);
  add_secrets(program, arguments);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = program.exit(problem, out, err);
    if (code == 0) return std::unexpected(Leave{exit_done, out.str()});
    const auto unknown = program.remaining(true);
    const auto what = unknown.empty() || problem.get_name() != "RequiredError"
                          ? std::string(problem.what())
                          : "\"" + unknown.front() + "\" is no command";
    return std::unexpected(Leave{exit_usage, "opi: " + what + "; opi --help says more\n"});
  }
  return arguments;
}

}  // namespace opi::cli
