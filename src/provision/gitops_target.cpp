#include "provision/gitops_target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "aio/slices.hpp"

namespace opi::provision {
namespace {

git::PushSettings guarded(git::PushSettings settings) {
  settings.guard = [](const std::string& path, std::string_view bytes) { return refuse_plain_secret(path, bytes); };
  return settings;
}

using Rendered = std::vector<Result<std::optional<std::string>>>;  ///< bytes; nothing: the file goes

/// On the blocking pool: sealing a thousand Secrets takes a while.
struct Rendering {
  std::span<ClusterWrite> writes;
  const GitopsRules* rules;
  WallTime now;
  Rendered* all;

  Result<std::optional<std::string>> one(ClusterWrite& write) const {
    if (write.remove) return std::optional<std::string>{};
    if (!write.object.holds_secret()) return std::optional(plain_manifest(write.object));
    // The key Secret is what opens the others: it is sealed to the key that the cluster has already.
    const auto& to = write.object.deployment.empty() ? rules->key_recipients : write.recipients;
    if (!write.data) return failure(ErrorKind::internal, "a Secret without data");
    auto sealed = sealed_manifest(write.object, *write.data, write.content_hash, to, now);
    if (!sealed) return failure(std::move(sealed.error()));
    return std::optional(*std::move(sealed));
  }
  void operator()(std::size_t from, std::size_t to) const {
    for (std::size_t i = from; i < to; ++i) (*all)[i] = one(writes[i]);
  }
};

/// In two halves at once; two of the threads at most, for others block as well.
Task<Rendered> render_all(aio::BlockingPool* blocking, std::vector<ClusterWrite>* writes, const GitopsRules* rules) {
  // What was not rendered must never look like a file that goes.
  Rendered all;
  for (std::size_t i = 0; i < writes->size(); ++i) all.emplace_back(failure(ErrorKind::cancelled, "not rendered"));
  const Rendering rendering{.writes = *writes, .rules = rules, .now = SystemClock().wall(), .all = &all};
  static_cast<void>(co_await aio::run_in_slices(blocking, all.size(), 2, &rendering));
  co_return all;
}

}  // namespace

/// The files of one call of `write`, as they will be on whatever head.
struct GitopsTarget::Batch {
  std::map<std::string, std::optional<std::string>> files;
  std::map<std::string, std::string, std::less<>> namespaces;  ///< of deployments, by "shop/prod"
  std::string message;
};

GitopsTarget::GitopsTarget(git::PushSettings push, GitopsRules rules, aio::BlockingPool& blocking, Logger log)
    : url_(push.remote.url),
      rules_(std::move(rules)),
      log_(std::move(log)),
      pusher_(guarded(std::move(push)), blocking, log_),
      blocking_(blocking) {}

std::string GitopsTarget::describe() const {
  return "gitops " + url_;
}

std::string GitopsTarget::folder() const {
  return rules_.path.empty() ? rules_.cluster : rules_.path + "/" + rules_.cluster;
}

ObservedObject GitopsTarget::judge(const LookedAt& looked, const git::RemoteTree& tree) const {
  const auto found = tree.blobs.find(manifest_path(*looked.object, rules_));
  if (found == tree.blobs.end()) return {};
  ObservedObject observed{.version = found->second};
  const bool same = looked.known != nullptr && looked.known->version == found->second;
  observed.presence = same ? Presence::same : Presence::different;
  if (!same)
    observed.detail =
        looked.known == nullptr ? "its file, which is not recorded," : "its file, which somebody has changed,";
  return observed;
}

Task<Result<std::vector<ObservedObject>>> GitopsTarget::look(std::vector<LookedAt> objects, SteadyTime deadline) {
  auto turn = co_await turns_.take(deadline);
  if (!turn) co_return failure(std::move(turn.error()));
  auto tree = co_await pusher_.read(folder(), deadline);
  if (!tree) co_return failure(std::move(tree.error()));
  std::vector<ObservedObject> observed;
  observed.reserve(objects.size());
  // A file that we have no record of is ours when it says so.
  std::vector<std::string> unknown;
  std::vector<std::size_t> whose;
  for (const auto& one : objects) {
    if (one.known == nullptr && tree->blobs.contains(manifest_path(*one.object, rules_))) {
      unknown.push_back(tree->blobs.find(manifest_path(*one.object, rules_))->second);
      whose.push_back(observed.size());
    }
    observed.push_back(judge(one, *tree));
  }
  auto contents = co_await pusher_.contents(std::move(unknown), deadline);
  if (!contents) co_return failure(std::move(contents.error()));
  for (std::size_t i = 0; i < whose.size(); ++i) {
    auto& one = observed[whose[i]];
    if (is_manifest_of((*contents)[i], objects[whose[i]].object->project)) continue;
    one.presence = Presence::foreign;
    one.detail = "it does not carry our labels";
  }
  co_return observed;
}

Task<Result<std::vector<ObservedObject>>> GitopsTarget::observe(std::vector<LookedAt> objects, SteadyTime deadline) {
  co_return co_await look(std::move(objects), deadline);
}

/// What differs from the head: manifests, and the wiring of all that then stands there.
Result<git::TreeChange> GitopsTarget::render(const Batch& batch, const git::RemoteTree& tree) const {
  git::TreeChange change{.files = batch.files, .message = batch.message};
  std::vector<std::string> paths;
  for (const auto& [path, blob] : tree.blobs) {
    const auto touched = change.files.find(path);
    if (touched == change.files.end()) paths.push_back(path);
  }
  std::erase_if(change.files, [&](const auto& file) { return !file.second && !tree.blobs.contains(file.first); });
  if (change.files.empty()) return change;
  for (const auto& [path, bytes] : change.files)
    if (bytes) paths.push_back(path);
  // Only the projects that are touched: of the others' deployments the namespaces are not known here.
  std::vector<std::string> roots;
  for (const auto& [path, bytes] : change.files) {
    const auto begin = folder().size() + 1;
    auto root = path.substr(0, path.find('/', begin) + 1);
    if (roots.empty() || roots.back() != root) roots.push_back(std::move(root));
  }
  std::ranges::sort(paths);
  std::vector<std::string> near;
  for (const auto& root : roots) {
    auto from = std::ranges::lower_bound(paths, root);
    for (; from != paths.end() && from->starts_with(root); ++from) near.push_back(*from);
  }
  for (auto& [path, text] : wiring_files(near, batch.namespaces, rules_))
    change.files.insert_or_assign(path, std::move(text));
  return change;
}

Task<std::vector<Result<Written>>> GitopsTarget::write(std::vector<ClusterWrite> writes, std::string message,
                                                       SteadyTime deadline) {
  std::vector<Result<Written>> outcomes(writes.size());
  const auto fail_all = [&outcomes](const Error& error) {
    for (auto& outcome : outcomes)
      if (outcome) outcome = failure(error);
  };
  auto rendered = co_await render_all(&blocking_, &writes, &rules_);
  Batch batch{.message = std::move(message)};
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const auto& object = writes[i].object;
    if (!rendered[i]) {
      outcomes[i] = failure(std::move(rendered[i].error()));
      continue;
    }
    batch.files.insert_or_assign(manifest_path(object, rules_), *std::move(rendered[i]));
    if (!object.deployment.empty())
      batch.namespaces.insert_or_assign(object.project + "/" + object.deployment, object.home());
  }
  auto turn = co_await turns_.take(deadline);
  if (!turn) {
    fail_all(turn.error());
    co_return outcomes;
  }
  auto pushed = co_await pusher_.push(
      folder(), [this, &batch](const git::RemoteTree& tree) { return render(batch, tree); }, deadline);
  if (!pushed) {
    fail_all(pushed.error());
    co_return outcomes;
  }
  if (pushed->files != 0) ++commits_;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    if (!outcomes[i]) continue;
    const auto blob = pushed->blobs.find(manifest_path(writes[i].object, rules_));
    if (blob != pushed->blobs.end()) outcomes[i]->version = blob->second;
  }
  co_return outcomes;
}

Task<std::vector<Result<Written>>> GitopsTarget::rehearse(std::vector<ClusterWrite> writes, SteadyTime /*deadline*/) {
  co_return std::vector<Result<Written>>(writes.size());
}

Task<> GitopsTarget::tell(std::vector<ClusterEvent> /*events*/, SteadyTime /*deadline*/) {
  co_return;
}

}  // namespace opi::provision
