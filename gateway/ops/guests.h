// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <list>
#include <memory>

namespace trunkline::ops {

// The connections of one listener, so that nobody can keep the operator out by holding all of them: whoever comes when
// it is full is let in, and whoever has kept us waiting longest goes. One that we are working for stays. One thread.
class Guests final {
 public:
  class Guest {
   public:
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    virtual ~Guest();

   protected:
    explicit Guest(std::shared_ptr<Guests> all);
    // For a request, or for its answer to be taken: from now on it may be ended for somebody else.
    void waits();
    void works();
    // Ends its connection; it is destroyed soon.
    virtual void leave() = 0;

   private:
    friend class Guests;
    std::shared_ptr<Guests> all_;
    bool waiting_ = false;
    std::list<Guest*>::iterator place_;
  };

  explicit Guests(std::size_t most) : most_(most) {}
  // Whether there is room for one more, made if need be; not if we are working for all of them.
  bool make_room();

 private:
  const std::size_t most_;
  std::size_t count_ = 0;
  std::list<Guest*> waiting_;  // whoever waits longest first
};

}  // namespace trunkline::ops
