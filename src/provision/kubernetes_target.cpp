#include "provision/kubernetes_target.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <set>
#include <utility>

#include "aio/task_scope.hpp"
#include "kube/api_error.hpp"

namespace opi::provision {
namespace {

using kube::Object;

bool terminating(const Object& name_space) {
  return !kube::metadata_text(name_space, "deletionTimestamp").empty();
}

/// Who else has set which field, from an apply that was refused.
std::vector<std::string> rivals(const Error& error) {
  return error.causes;
}

Object event_object(const ClusterEvent& event, const std::string& reporter) {
  const auto now =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(SystemClock().wall())));
  const auto& about = event.object;
  constexpr std::size_t message_max = 1'000;
  Object involved{{"apiVersion", kube::api_version(about.kind)}, {"kind", about.kind.kind}, {"name", about.name}};
  if (!about.name_space.empty()) involved["namespace"] = about.name_space;
  return {{"metadata", Object{{"generateName", "operations-manager."}, {"namespace", about.home()}}},
          {"involvedObject", std::move(involved)},
          {"reason", event.reason},
          {"message", event.message.substr(0, message_max)},
          {"type", event.warning ? "Warning" : "Normal"},
          {"source", Object{{"component", reporter}}},
          {"reportingComponent", reporter},
          {"firstTimestamp", now},
          {"lastTimestamp", now},
          {"count", 1}};
}

}  // namespace

/// One look at many objects.
struct KubernetesTarget::Looking {
  std::vector<LookedAt> objects;
  SteadyTime deadline;
  std::vector<ObservedObject> observed = {};
  std::map<std::string, Object> found = {};  ///< by kube::to_string of their name
  std::set<std::string> listed = {};         ///< kinds of which all of ours are known
  std::optional<Error> failed = {};

  static std::string key(const DesiredObject& object) { return kube::to_string(object.object()); }
  const Object* find(const std::string& key) const {
    const auto there = found.find(key);
    return there == found.end() ? nullptr : &there->second;
  }
};

struct KubernetesTarget::Writing {
  std::vector<ClusterWrite> writes;
  SteadyTime deadline;
  std::vector<Result<Written>> outcomes = {};
};

KubernetesTarget::KubernetesTarget(std::unique_ptr<kube::Client> client, KubernetesOptions options, HashSource hash,
                                   Logger log)
    : client_(std::move(client)), options_(std::move(options)), hash_(std::move(hash)), log_(std::move(log)) {}

KubernetesTarget::~KubernetesTarget() = default;

std::string KubernetesTarget::describe() const {
  return "kubernetes " + client_->address();
}

namespace {

/// Indices that are still to be done, shared by the workers.
struct Queue {
  explicit Queue(const asio::any_io_executor& executor) : ended(executor, SteadyTime::max()) {}
  std::vector<std::size_t> indices;
  std::size_t next = 0;
  std::size_t workers = 0;
  std::function<Task<>(std::size_t)> step;
  asio::steady_timer ended;
};

Task<> work(std::shared_ptr<Queue> queue) {
  try {
    while (queue->next < queue->indices.size()) co_await queue->step(queue->indices[queue->next++]);
  } catch (...) {
    if (--queue->workers == 0) queue->ended.cancel();
    throw;
  }
  if (--queue->workers == 0) queue->ended.cancel();
}

}  // namespace

/// Up to `parallelism` at once; when we are cancelled, they are told and waited for.
Task<> KubernetesTarget::for_each(std::vector<std::size_t> indices, Step step) {
  if (indices.empty()) co_return;
  auto executor = co_await asio::this_coro::executor;
  auto queue = std::make_shared<Queue>(executor);
  queue->indices = std::move(indices);
  queue->step = std::move(step);
  aio::TaskScope scope(executor, log_, "kubernetes");
  queue->workers = std::min(options_.parallelism, queue->indices.size());
  const auto workers = queue->workers;
  for (std::size_t i = 0; i < workers; ++i) scope.spawn(fmt::format("kubernetes {}", i + 1), work(queue));
  co_await queue->ended.async_wait(as_result);
  co_await asio::this_coro::throw_if_cancelled(false);
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) scope.cancel();
  co_await scope.join();
  co_await asio::this_coro::throw_if_cancelled(true);
}

SteadyTime KubernetesTarget::soon(SteadyTime deadline) const {
  return std::min(deadline, SystemClock().steady() + options_.call_time);
}

/// Namespaces are all listed, so that those of others are seen; of everything else only what carries our label.
Task<Result<>> KubernetesTarget::list_kind(Looking* looking, kube::ResourceKind kind) {
  const bool all = kind == kube::namespaces;
  auto listing =
      co_await client_->list(kind, "", all ? "" : fmt::format("created-by={}", manager_name), looking->deadline);
  if (!listing) co_return failure(std::move(listing.error()));
  for (auto& object : listing->objects) {
    auto key = kube::to_string(kube::name_of(kind, object));
    looking->found.insert_or_assign(std::move(key), std::move(object));
  }
  looking->listed.insert(std::string(kind.kind));
  co_return Result<>{};
}

Task<Result<>> KubernetesTarget::list_all(Looking* looking) {
  std::vector<kube::ResourceKind> kinds{kube::namespaces};
  for (const auto& one : looking->objects) {
    if (std::ranges::find(kinds, one.object->kind) == kinds.end()) kinds.push_back(one.object->kind);
  }
  for (const auto& kind : kinds) {
    if (auto listed = co_await list_kind(looking, kind); !listed) co_return listed;
  }
  co_return Result<>{};
}

Task<> KubernetesTarget::ask_for(Looking* looking, std::size_t index) {
  const auto& object = *looking->objects[index].object;
  auto found = co_await client_->get(object.object(), soon(looking->deadline));
  if (found) {
    looking->found.insert_or_assign(Looking::key(object), *std::move(found));
  } else if (found.error().kind != ErrorKind::not_found && !looking->failed) {
    looking->failed = std::move(found.error());
  }
}

ObservedObject KubernetesTarget::judge(const LookedAt& looked, const Object* found) const {
  const auto& wanted = *looked.object;
  if (found == nullptr) return {};
  ObservedObject observed{.version = std::string(kube::metadata_text(*found, "uid"))};
  const auto project = kube::metadata_entry(*found, "labels", project_label);
  const bool recorded = looked.known != nullptr && looked.known->version == observed.version;
  // What was ours by its uid stays ours when somebody takes its labels away.
  if (!recorded && !(is_managed(*found) && project == wanted.project)) {
    observed.presence = Presence::foreign;
    observed.detail = project.empty() ? "it does not carry our labels" : fmt::format("it is project \"{}\"'s", project);
    return observed;
  }
  if (terminating(*found)) {
    observed.presence = Presence::terminating;
    return observed;
  }
  auto difference = first_difference(wanted.body, *found);
  if (!difference && wanted.holds_secret()) {
    const auto* hash = hash_();
    if (looked.known == nullptr || hash == nullptr || looked.known->content_hash.empty()) {
      difference = "data";
    } else if (content_hash_of(*hash, *found) != looked.known->content_hash) {
      difference = "data, which somebody has changed";
    } else if (kube::metadata_entry(*found, "annotations", hash_annotation) != looked.known->content_hash) {
      difference = "metadata.annotations";
    }
  }
  observed.presence = difference ? Presence::different : Presence::same;
  observed.detail = difference.value_or("");
  return observed;
}

void KubernetesTarget::judge_all(Looking* looking) const {
  std::set<std::string, std::less<>> ending;
  for (const auto& one : looking->objects) {
    const auto& object = *one.object;
    auto observed = judge(one, looking->find(Looking::key(object)));
    if (object.kind == kube::namespaces && observed.presence == Presence::terminating) ending.insert(object.name);
    looking->observed.push_back(std::move(observed));
  }
  for (std::size_t i = 0; i < looking->objects.size(); ++i) {
    auto& observed = looking->observed[i];
    if (observed.presence != Presence::foreign && ending.contains(looking->objects[i].object->home()))
      observed.presence = Presence::terminating;
  }
}

Task<Result<std::vector<ObservedObject>>> KubernetesTarget::observe(std::vector<LookedAt> objects,
                                                                    SteadyTime deadline) {
  Looking looking{.objects = std::move(objects), .deadline = deadline};
  const bool many = looking.objects.size() >= options_.list_from;
  if (many) {
    if (auto listed = co_await list_all(&looking); !listed) co_return failure(std::move(listed.error()));
  }
  if (!many) {
    std::vector<std::size_t> namespaces;
    for (std::size_t i = 0; i < looking.objects.size(); ++i)
      if (looking.objects[i].object->kind == kube::namespaces) namespaces.push_back(i);
    const bool alone = namespaces.empty();  // a Secret that is handed over: its namespace was looked at before
    if (alone) {
      for (std::size_t i = 0; i < looking.objects.size(); ++i) namespaces.push_back(i);
    }
    co_await for_each(std::move(namespaces), [this, &looking](std::size_t index) { return ask_for(&looking, index); });
  }
  // What is not in a list of ours may still be there as somebody else's; in a namespace that is not there it cannot.
  std::vector<std::size_t> rest;
  for (std::size_t i = 0; i < looking.objects.size(); ++i) {
    const auto& object = *looking.objects[i].object;
    if (object.kind == kube::namespaces || looking.find(Looking::key(object)) != nullptr) continue;
    if (looking.find("namespace " + object.home()) != nullptr) rest.push_back(i);
  }
  co_await for_each(std::move(rest), [this, &looking](std::size_t index) { return ask_for(&looking, index); });
  if (looking.failed) co_return failure(*std::move(looking.failed));
  judge_all(&looking);
  co_return std::move(looking.observed);
}

Task<Result<Written>> KubernetesTarget::apply(ClusterWrite* write, SteadyTime deadline) {
  const auto& object = write->object;
  if (write->remove) {
    auto gone = co_await client_->remove(object.object(), write->version, soon(deadline));
    if (!gone && gone.error().kind != ErrorKind::not_found) co_return failure(std::move(gone.error()));
    co_return Written{};
  }
  Object body = write->data ? with_data(object, *write->data, write->content_hash) : object.body;
  Written written;
  auto stored = co_await client_->apply(object.kind, body, {}, soon(deadline));
  if (!stored && kube::has_status(stored.error(), 409) && write->force) {
    written.notes = rivals(stored.error());
    stored = co_await client_->apply(object.kind, body, {.force = true}, soon(deadline));
  }
  if (write->data) wipe_secret(body);
  if (!stored) co_return failure(std::move(stored.error()));
  written.version = std::string(kube::metadata_text(*stored, "uid"));
  if (write->data) wipe_secret(*stored);
  co_return written;
}

Task<> KubernetesTarget::write_one(Writing* writing, std::size_t index) {
  writing->outcomes[index] = co_await apply(&writing->writes[index], writing->deadline);
}

Task<std::vector<Result<Written>>> KubernetesTarget::write(std::vector<ClusterWrite> writes, std::string /*message*/,
                                                           SteadyTime deadline) {
  Writing writing{.writes = std::move(writes), .deadline = deadline};
  writing.outcomes.resize(writing.writes.size());
  const auto step = [this, &writing](std::size_t index) { return write_one(&writing, index); };
  std::vector<std::size_t> first;
  for (std::size_t i = 0; i < writing.writes.size(); ++i)
    if (writing.writes[i].object.kind == kube::namespaces) first.push_back(i);
  co_await for_each(first, step);
  std::map<std::string, Error, std::less<>> without;
  for (const auto i : first)
    if (!writing.outcomes[i]) without.insert_or_assign(writing.writes[i].object.name, writing.outcomes[i].error());
  std::vector<std::size_t> rest;
  for (std::size_t i = 0; i < writing.writes.size(); ++i) {
    const auto& object = writing.writes[i].object;
    if (object.kind == kube::namespaces) continue;
    const auto failed = without.find(object.home());
    if (failed == without.end()) {
      rest.push_back(i);
    } else {
      writing.outcomes[i] = failure(failed->second);
    }
  }
  co_await for_each(std::move(rest), step);
  co_return std::move(writing.outcomes);
}

Task<> KubernetesTarget::rehearse_one(Writing* writing, std::size_t index) {
  const auto& object = writing->writes[index].object;
  auto would = co_await client_->apply(object.kind, object.body, {.dry_run = true}, soon(writing->deadline));
  if (would) co_return;
  if (kube::has_status(would.error(), 409)) {
    writing->outcomes[index]->notes = rivals(would.error());
  } else {
    writing->outcomes[index] = failure(std::move(would.error()));
  }
}

Task<std::vector<Result<Written>>> KubernetesTarget::rehearse(std::vector<ClusterWrite> writes, SteadyTime deadline) {
  Writing writing{.writes = std::move(writes), .deadline = deadline};
  writing.outcomes.resize(writing.writes.size());
  std::vector<std::size_t> all(writing.writes.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  co_await for_each(std::move(all), [this, &writing](std::size_t index) { return rehearse_one(&writing, index); });
  co_return std::move(writing.outcomes);
}

Task<> KubernetesTarget::tell_one(std::vector<ClusterEvent>* events, SteadyTime deadline, std::size_t index) {
  const auto& event = (*events)[index];
  auto told = co_await client_->create(kube::events, event_object(event, options_.reporter), soon(deadline));
  if (!told)
    log_.debug(kube::to_string(event.object.object()), "its event was not taken",
               {{"cause", told.error().to_string()}});
}

Task<> KubernetesTarget::tell(std::vector<ClusterEvent> events, SteadyTime deadline) {
  std::vector<std::size_t> all(events.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  co_await for_each(std::move(all),
                    [this, &events, deadline](std::size_t index) { return tell_one(&events, deadline, index); });
}

}  // namespace opi::provision
