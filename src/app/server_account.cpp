#include "app/server_account.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace opi::app {

namespace {

namespace fs = std::filesystem;

Result<ServerAccount> account_named(const char* name, bool other) {
  std::array<char, 16'384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(name, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return failure(Error(ErrorKind::not_found, fmt::format("there is no user \"{}\"", name))
                       .because("PostgreSQL's server does not run as root")
                       .with_remedy("install postgresql-15, or start opi as an ordinary user"));
  }
  return ServerAccount{.name = name, .uid = entry.pw_uid, .gid = entry.pw_gid, .other = other};
}

bool in_group(const ServerAccount& account, gid_t group) {
  if (account.gid == group) return true;
  std::vector<gid_t> groups(256);
  int count = static_cast<int>(groups.size());
  if (::getgrouplist(account.name.c_str(), account.gid, groups.data(), &count) < 0) return false;
  groups.resize(static_cast<std::size_t>(count));
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

bool may_pass(const ServerAccount& account, const fs::path& folder) {
  struct stat info{};
  if (::stat(folder.c_str(), &info) != 0) return false;
  if (info.st_uid == account.uid) return (info.st_mode & S_IXUSR) != 0;
  if (in_group(account, info.st_gid)) return (info.st_mode & S_IXGRP) != 0;
  return (info.st_mode & S_IXOTH) != 0;
}

Result<> make_owned_folder(const ServerAccount& account, const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return failure(system_error(ErrorKind::denied, fmt::format("cannot make the folder {}", folder.string()), errno));
  }
  if (account.other && ::chown(folder.c_str(), account.uid, account.gid) != 0) {
    return failure(
        system_error(ErrorKind::denied, fmt::format("cannot give {} to {}", folder.string(), account.name), errno));
  }
  if (account.other || ::geteuid() == account.uid) (void)::chmod(folder.c_str(), 0700);
  return {};
}

// FNV-1a: a key for a folder's name, nothing secret or hostile in it.
std::string key_of(const fs::path& path) {
  std::uint64_t hash = 14'695'981'039'346'656'037ULL;
  for (const char c : path.string()) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211ULL;
  return fmt::format("{:016x}", hash);
}

}  // namespace

Result<ServerAccount> server_account() {
  if (::geteuid() == 0) return account_named("postgres", true);
  std::array<char, 16'384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return failure(Error(ErrorKind::not_found, fmt::format("user id {} has no name", ::geteuid()))
                       .because("initdb needs one")
                       .with_remedy("start opi as a user of this machine"));
  }
  return ServerAccount{.name = found->pw_name, .uid = entry.pw_uid, .gid = entry.pw_gid, .other = false};
}

bool reachable_for(const ServerAccount& account, const fs::path& folder) {
  std::error_code ec;
  const fs::path real = fs::canonical(folder, ec);
  if (ec) return false;
  fs::path so_far = "/";
  if (!may_pass(account, so_far)) return false;
  for (const auto& part : real.relative_path()) {
    so_far /= part;
    if (!may_pass(account, so_far)) return false;
  }
  return true;
}

Result<fs::path> place_for(const ServerAccount& account, const fs::path& wanted, const fs::path& system_state) {
  std::error_code ec;
  fs::path absolute = fs::absolute(wanted).lexically_normal();
  if (fs::exists(absolute, ec) && reachable_for(account, absolute)) return fs::canonical(absolute, ec);
  if (reachable_for(account, absolute.parent_path()) && !fs::is_symlink(absolute, ec)) {
    if (auto made = make_owned_folder(account, absolute); !made) return failure(made.error());
    return absolute;
  }
  const fs::path keyed = system_state / key_of(absolute);
  fs::create_directories(keyed, ec);
  if (ec) {
    return failure(Error(ErrorKind::denied, fmt::format("cannot make the folder {}: {}", keyed.string(), ec.message()))
                       .because(fmt::format("{} cannot reach {}", account.name, absolute.parent_path().string())));
  }
  fs::permissions(keyed, fs::perms(0711), ec);
  fs::permissions(system_state, fs::perms(0711), ec);
  fs::path target = keyed / absolute.filename();
  if (auto made = make_owned_folder(account, target); !made) return failure(made.error());
  fs::remove(absolute, ec);  // an empty folder or a stale link; never a folder with something in it
  fs::create_symlink(target, absolute, ec);
  if (ec && !fs::is_symlink(absolute)) {
    return failure(ErrorKind::denied,
                   fmt::format("cannot link {} to {}: {}", absolute.string(), target.string(), ec.message()));
  }
  return target;
}

std::vector<std::string> as_account(const ServerAccount& account, std::vector<std::string> command) {
  std::vector<std::string> argv{"setpriv", "--no-new-privs", "--pdeathsig", "INT"};
  if (account.other) {
    for (auto& word : std::vector<std::string>{"--reuid", std::to_string(account.uid), "--regid",
                                               std::to_string(account.gid), "--init-groups"}) {
      argv.push_back(std::move(word));
    }
  }
  argv.emplace_back("--");
  for (auto& word : command) argv.push_back(std::move(word));
  return argv;
}

}  // namespace opi::app
