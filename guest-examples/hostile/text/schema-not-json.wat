;; Has an input schema that is not JSON.
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\0f\00\00\00" "\00\00\00\00\00\00\00\00"
  "\01\00\00\00" "\b8\0b\00\00" "\09\00\00\00")
(data (i32.const 128) "schema-not-json")
(data (i32.const 3000) "{\22type\22: ")
(func (export "describe") (result i32) (i32.const 0))
