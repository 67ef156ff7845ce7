// Sends the content of large files to the store that a hub names (LFS: in one piece or in parts).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "hub/client.h"
#include "hub/upload_text.h"

namespace pajamas::hub {

// Sends what the store does not have yet, several pieces at a time. Broken connections, 408, 429
// and 5xx are tried again; addresses that expired are asked for anew, and what the store refuses to
// put together is sent once more. Returns for each file whether it was sent (the others are there
// already). Throws Error{kNetwork, kIo, kCorruptFile, kInterrupted}: what was sent by then stays in
// the store.
std::vector<bool> send_to_store(const Settings& settings, const ModelId& id, Client& client,
                                const std::vector<const LocalFile*>& files, Watch watch);

}  // namespace pajamas::hub
