-- .vsr files in Neovim 0.11 or later: the language server, and colours by the words of the language.
vim.filetype.add({ extension = { vsr = 'vsr' } })

vim.lsp.config('vsrc', {
  cmd = { 'vsrc', 'lsp' },
  filetypes = { 'vsr' },
  root_markers = { '.git' },
})
vim.lsp.enable('vsrc')

vim.api.nvim_create_autocmd('FileType', {
  pattern = 'vsr',
  callback = function(event)
    vim.bo[event.buf].commentstring = '# %s'
    vim.bo[event.buf].shiftwidth = 2
    vim.bo[event.buf].expandtab = true
    vim.cmd([[
      syntax clear
      syntax match vsrComment /#.*/
      syntax region vsrString start=/"/ end=/"/ oneline
      syntax match vsrNumber /\<\d\+\(\.\d\+\)\?\(e[-+]\?\d\+\)\?\>/
      syntax match vsrLabel /@[A-Za-z0-9_.{}]\+/
      syntax match vsrBlock /\<\u\w*\ze(/
      syntax match vsrDim /\<\u\w*\>\ze\($\|[^(A-Za-z0-9_]\)/
      syntax match vsrReducer /\<\(sum\|mean\|max\|min\|lse\|var\)\ze\[/
      syntax keyword vsrItem use op block model weights frozen train profile from where kernel grad via as ignore transposed
      syntax keyword vsrWord param state next data metric for in if else and or not
      syntax keyword vsrType int float bool str list f32 tf32 bf16 f16
      syntax keyword vsrConstant true false training
      highlight default link vsrComment Comment
      highlight default link vsrString String
      highlight default link vsrNumber Number
      highlight default link vsrLabel Label
      highlight default link vsrBlock Function
      highlight default link vsrDim Constant
      highlight default link vsrReducer Function
      highlight default link vsrItem Keyword
      highlight default link vsrWord Statement
      highlight default link vsrType Type
      highlight default link vsrConstant Boolean
    ]])
  end,
})

-- Format when a file is written.
vim.api.nvim_create_autocmd('BufWritePre', {
  pattern = '*.vsr',
  callback = function(event)
    vim.lsp.buf.format({ bufnr = event.buf, name = 'vsrc' })
  end,
})
