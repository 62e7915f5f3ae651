// docs/configuration.md, written from the table of fields.
#include <fmt/format.h>

#include "app/settings_fields.hpp"

namespace opi::app {

namespace {

constexpr std::string_view introduction = R"(# Configuration

One YAML file, `opi.yaml`: the one named by `--config`, else by `OPI_CONFIG`, else the first of `./opi.yaml`, `./.opi/opi.yaml`
(what the demo writes) and `/etc/opi/opi.yaml`.
The smallest one that serves:

```yaml
databases:
  main:
    host: db.example.org
    user: opi_admin
    password_file: /run/secrets/opi-admin
secrets:
  platform_key_file: /run/secrets/platform.agekey
projects:
  repository:
    url: https://git.example.org/platform/projects.git
```

- **Every field has an environment variable** that overrides the file: `OPI_`, then the field's path in upper case with `__`
  between the steps and `_` for a dash. `databases.main.pool.max` is `OPI_DATABASES__MAIN__POOL__MAX`; a pool that only variables
  name exists too. Lists are separated by commas. A variable with `OPI_` and `__` that names no field is refused.
- **Secrets** can be given directly or by a `…_file`; the file is read anew whenever the secret is used, so replacing it
  rotates the secret. One of the two, not both; a variable for one takes the place of the file's other.
- **Durations** are a number and a unit: `500ms`, `30s`, `2m`, `24h`. **Sizes** are bytes: `16384`, `16KiB`, `1MiB`.
- **SIGHUP** makes the daemon read the file again. Everything of `databases` takes effect at once, in place or by new
  connections as they come back, except which pools there are, their `projects`, and the hosts and port of `main`; the
  rest takes effect with a restart, and the log names each such field. A file that is wrong, or one whose new connections
  fail, leaves what was before in force.
- **Relative file names** count from the folder of `opi.yaml`, in variables from the working directory.
- Unknown fields, wrong types and impossible combinations are refused, all at once, each as
  `file:line:column: field: what and what instead`, with exit code 78.
- `opi config check` says whether a file is good; `opi config show` prints every field with its value (secrets as `****`) and
  where it came from; `--json` does so for programs.

`databases` is a map from a pool's name to a server and the pool of connections to it. `main` is required; any number may
stand beside it. In the table `NAME` stands for the pool's name. `projects.repositories` is a map as well, from a name to a
further repository of project files ([git.md](git.md)).

)";

/// A cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

std::string code(const std::string& text) {
  return text.empty() ? "" : "`" + cell(text) + "`";
}

}  // namespace

std::string settings_manual() {
  Settings settings;
  settings.databases["NAME"] = {};
  settings.projects.repositories["NAME"] = {};
  std::string text{introduction};
  std::string section;
  for (const Field& field : fields_of(settings)) {
    const std::string top = field.path.substr(0, field.path.find('.'));
    if (top != section) {
      section = top;
      text += fmt::format("{}## `{}`\n\n| Field | Takes | Default | Meaning |\n|---|---|---|---|\n",
                          text.ends_with("\n\n") ? "" : "\n", top);
    }
    text +=
        fmt::format("| `{}` | {} | {} | {} |\n", field.path, cell(field.takes), code(field.show()), cell(field.about));
  }
  return text;
}

}  // namespace opi::app
